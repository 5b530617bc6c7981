#include "process/sync/shared_futex.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/engine_thread.hpp"
#include "engine/fork.hpp"
#include "engine/immortal.hpp"
#include "engine/thread_context.hpp"
#include "port/futex.hpp"

namespace weft::process::detail {

using weft::detail::Context;
using weft::detail::Entry;
using weft::detail::Interruptible;
using weft::detail::kFired;
using weft::detail::kTimedOut;
using weft::detail::Outcome;
using weft::detail::Wait;

/// A word that fibers wait for, and calls of select().
struct WatchedWord {
  const std::atomic<std::uint32_t>* word = nullptr;  // null: nobody waits
  SharedWaiter* first = nullptr;
  // What its thread has slept on last: it does so still after the last waiter has left.
  const std::atomic<std::uint32_t>* slept_on = nullptr;  // null: nothing
  std::uint32_t slept_value = 0;
};

namespace {

constexpr std::int64_t kShortestTick = 10'000'000;
constexpr std::int64_t kLongestTick = 100'000'000;
constexpr int kIdleTicksBeforeSleep = 30;
constexpr std::size_t kMostPidfds = 128;  // processes watched by descriptor; more are looked at tick by tick
constexpr auto kSliceWithoutHelpers = std::chrono::milliseconds{5};

using SharedWord = std::atomic<std::uint32_t>;
using Waiter = SharedWaiter;

/// A thread that sleeps on as many words at once as the kernel takes, for fibers.
///
/// To the kernel it is one sleeper among those of all processes, and may be given a wake-up that nobody here needs: the fibers that waited
/// have left, and others may have come since who know of the change. Such a one is passed on, once for each change that the thread
/// has slept through, so that two watchers cannot pass one back and forth for ever.
struct WordWatcher {
  static constexpr std::size_t kWords = port::kMostFutexWords - 1;  // and its own

  std::array<WatchedWord, kWords> words;
  std::size_t used = 0;                   // no word beyond is waited for, or was slept on
  std::atomic<std::uint32_t> changes{0};  // its own: there is another word to be watched

  [[nodiscard]] WatchedWord* place_for(const SharedWord* word) noexcept {
    WatchedWord* free = nullptr;
    for (std::size_t i = 0; i < used; ++i) {
      if (words[i].word == word) return &words[i];
      if (!words[i].word && !free) free = &words[i];
    }
    if (!free && used < kWords) free = &words[used++];
    return free;
  }
};

struct WatchedProcess {
  ProcessStamp stamp;
  OwnedFd pidfd;
  bool gone = false;
  bool asked_for = true;  // since the last look at all
};

/// Everybody of this process who waits for a word that processes share.
class Waits {
 public:
  /// False: there is no thread to be had that would watch over it; then it must not wait for long at a time.
  [[nodiscard]] bool enlist(Waiter& waiter, bool of_fiber) noexcept;
  void withdraw(Waiter& waiter) noexcept;
  /// For who was not enlisted: asks himself.
  void look(const Look& look) noexcept;
  [[nodiscard]] bool is_gone(ProcessStamp stamp) noexcept;

  void before_fork() noexcept { lock_.lock(); }
  void after_fork(bool in_child) noexcept {
    if (in_child) forget();
    lock_.unlock();
  }

 private:
  void watch_all();
  [[nodiscard]] Entry* look_at_all(bool& moved) noexcept;
  void watch_words(WordWatcher& watcher);
  struct Sleep {
    std::vector<port::FutexWord> on;                // the watcher's own, and those that are waited for
    std::vector<const std::uint32_t*> passing_on;   // a wake-up each; may be unmapped
  };
  [[nodiscard]] static Entry* fire_changed(WordWatcher& watcher, Sleep& sleep);
  [[nodiscard]] bool start_looking() noexcept;
  [[nodiscard]] bool watch_word_of(Waiter& waiter) noexcept;
  [[nodiscard]] WordWatcher* add_word_watcher() noexcept;
  static void unlink(Waiter& waiter, Waiter*& all) noexcept;
  void forget() noexcept;

  std::mutex lock_;
  Waiter* first_ = nullptr;                // all
  std::vector<WordWatcher*> watchers_;     // never destroyed: their threads use them
  std::vector<WatchedProcess> processes_;
  bool looks_ = false;                     // the thread that looks has been started
  bool idles_ = false;                     // it sleeps until there is somebody
  bool is_new_ = false;                    // somebody came since it looked
  int poke_ = -1;                          // eventfd that wakes it
};

Waits& waits() noexcept {
  static constinit weft::detail::Immortal<Waits> instance;
  return instance.value;
}

weft::detail::ForkHook fork_hook{.before = []() noexcept { waits().before_fork(); },
                                 .after = [](bool in_child) noexcept { waits().after_fork(in_child); }};
[[maybe_unused]] const bool fork_is_prepared = (weft::detail::add_fork_hook(fork_hook), true);

template <class Body>
bool start_thread(const char* name, Body body) noexcept {
  try {
    weft::detail::start_engine_thread(name, body);
    return true;
  } catch (...) {
    return false;
  }
}

// ---- lists ----------------------------------------------------------------------------------------------------------

// In the child of a fork nobody waits: waiters, threads and descriptors are the parent's. The memory of the watchers
// is given up.
void Waits::forget() noexcept {
  first_ = nullptr;
  watchers_.clear();
  processes_.clear();  // the child's copies of the pidfds are closed
  looks_ = idles_ = is_new_ = false;
  if (poke_ >= 0) ::close(std::exchange(poke_, -1));
}

[[gnu::noinline]] bool Waits::enlist(Waiter& waiter, bool of_fiber) noexcept {
  const std::lock_guard guard{lock_};
  if (!start_looking() || (of_fiber && !watch_word_of(waiter))) return false;
  waiter.linked = true;
  waiter.next = first_;
  if (first_) first_->previous = &waiter;
  first_ = &waiter;
  is_new_ = true;
  if (idles_) {
    idles_ = false;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(poke_, &one, sizeof one);
  }
  return true;
}

[[gnu::noinline]] void Waits::withdraw(Waiter& waiter) noexcept {
  const std::lock_guard guard{lock_};
  if (waiter.linked) unlink(waiter, first_);
}

[[gnu::noinline]] void Waits::look(const Look& look) noexcept {
  const std::lock_guard guard{lock_};
  if (look.call) (void)look.call(look.object);
}

void Waits::unlink(Waiter& waiter, Waiter*& all) noexcept {
  waiter.linked = false;
  (waiter.previous ? waiter.previous->next : all) = waiter.next;
  if (waiter.next) waiter.next->previous = waiter.previous;
  if (WatchedWord* watched = waiter.watched) {
    (waiter.previous_of_word ? waiter.previous_of_word->next_of_word : watched->first) = waiter.next_of_word;
    if (waiter.next_of_word) waiter.next_of_word->previous_of_word = waiter.previous_of_word;
    if (!watched->first) watched->word = nullptr;
  }
}

// ---- words that fibers wait for -------------------------------------------------------------------------------------

WordWatcher* Waits::add_word_watcher() noexcept {
  try {
    watchers_.reserve(watchers_.size() + 1);
    auto made = std::make_unique<WordWatcher>();
    if (!start_thread("weft-words", [this, watcher = made.get()] { watch_words(*watcher); })) return nullptr;
    watchers_.push_back(made.get());
    return made.release();
  } catch (...) {
    return nullptr;
  }
}

bool Waits::watch_word_of(Waiter& waiter) noexcept {
  WordWatcher* watcher = nullptr;
  WatchedWord* place = nullptr;
  for (std::size_t i = 0; i < watchers_.size() && !place; ++i) {
    watcher = watchers_[i];
    place = watcher->place_for(waiter.word);
  }
  if (!place) {
    watcher = add_word_watcher();
    if (!watcher) return false;
    place = watcher->place_for(waiter.word);
  }
  // It sleeps on this word already if somebody else waits for the same value: any change wakes it.
  const bool watched_already = place->first && place->first->expected == waiter.expected;
  place->word = waiter.word;
  waiter.watched = place;
  waiter.next_of_word = place->first;
  if (place->first) place->first->previous_of_word = &waiter;
  place->first = &waiter;
  if (!watched_already) {
    watcher->changes.fetch_add(1, std::memory_order_release);
    port::futex_wake(port::futex_word(watcher->changes));
  }
  return true;
}

// As one of several entries of its wait, if it is.
bool claim_for(Waiter& waiter) noexcept {
  return weft::detail::claim(*waiter.entry, static_cast<Outcome>(waiter.entry->index | kFired));
}

// Those whose word is not as they expect it; what the others wait for goes into `sleep`. A wake-up may have been meant
// for any of a word's waiters, and two of them may have come as one, so that only the values count.
Entry* Waits::fire_changed(WordWatcher& watcher, Sleep& sleep) {
  Entry* fired = nullptr;
  Waiter*& all = waits().first_;
  for (std::size_t i = 0; i < watcher.used; ++i) {
    WatchedWord& watched = watcher.words[i];
    const SharedWord* const slept_on = std::exchange(watched.slept_on, nullptr);
    bool is_passed_on = slept_on && slept_on != watched.word;
    if (watched.word) {
      const std::uint32_t value = watched.word->load(std::memory_order_seq_cst);
      // Whoever waited when the thread fell asleep is fired by a change; those who remain have come since.
      bool is_ours = false;
      Waiter* next = nullptr;
      for (Waiter* waiter = watched.first; waiter; waiter = next) {
        next = waiter->next_of_word;
        if (waiter->expected == value) continue;
        is_ours = true;
        unlink(*waiter, all);
        if (!claim_for(*waiter)) continue;  // he passes it on himself
        waiter->entry->next = fired;
        fired = waiter->entry;
      }
      is_passed_on |= slept_on && value != watched.slept_value && !is_ours;
      if (watched.word) {
        watched.slept_on = watched.word;
        watched.slept_value = value;
        sleep.on.push_back({port::futex_word(*watched.word), value, true});
      }
    }
    if (is_passed_on) sleep.passing_on.push_back(port::futex_word(*slept_on));
  }
  while (watcher.used > 0 && !watcher.words[watcher.used - 1].word) --watcher.used;
  return fired;
}

void Waits::watch_words(WordWatcher& watcher) {
  Sleep sleep;
  sleep.on.reserve(port::kMostFutexWords);
  sleep.passing_on.reserve(port::kMostFutexWords);
  for (;;) {
    sleep.on.clear();
    sleep.passing_on.clear();
    Entry* fired = nullptr;
    {
      const std::lock_guard guard{lock_};
      sleep.on.push_back({port::futex_word(watcher.changes), watcher.changes.load(std::memory_order_acquire), false});
      fired = fire_changed(watcher, sleep);
    }
    weft::detail::deliver_all(fired);
    for (const std::uint32_t* word : sleep.passing_on) port::futex_wake_shared(word, 1);
    // A word whose last waiter has left since may be unmapped: -EFAULT, and a new look. Without futex_waitv (before
    // Linux 5.16) the words are looked at every millisecond.
    const int result = port::futex_wait_any(sleep.on.data(), sleep.on.size(), Deadline::never());
    if (result == -ENOSYS || result == -EPERM) {
      const bool anybody = sleep.on.size() > 1;
      port::futex_wait(sleep.on[0].address, sleep.on[0].expected,
                       anybody ? Deadline::after(std::chrono::milliseconds{1}) : Deadline::never());
    }
  }
}

// ---- looking --------------------------------------------------------------------------------------------------------

bool Waits::start_looking() noexcept {
  if (looks_) return true;
  if (poke_ < 0) poke_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (poke_ < 0 || !start_thread("weft-looks", [this] { watch_all(); })) return false;
  return looks_ = true;
}

bool Waits::is_gone(ProcessStamp stamp) noexcept {
  if (stamp == this_process_stamp()) return false;
  if (!looks_) return process_is_gone(stamp);  // nobody would see the end of one in the table
  const auto known = std::find_if(processes_.begin(), processes_.end(),
                                  [&](const WatchedProcess& process) { return process.stamp == stamp; });
  if (known != processes_.end()) {
    known->asked_for = true;
    return known->gone;
  }
  OwnedFd pidfd;
  const bool gone = process_is_gone(stamp, &pidfd);
  try {
    if (gone || (pidfd && processes_.size() < kMostPidfds)) processes_.push_back({stamp, std::move(pidfd), gone});
  } catch (...) {
    // No memory: looked at again at the next tick.
  }
  return gone;
}

Entry* Waits::look_at_all(bool& moved) noexcept {
  for (WatchedProcess& process : processes_) process.asked_for = false;
  // Of many who wait for one object the first is asked for all: to look at a Barrier takes time for each of its parties.
  Look asked;
  bool answer = false;
  const auto says_so = [&](const Look& look) {
    if (!look.call) return false;
    if (look.call != asked.call || look.object != asked.object) {
      asked = look;
      answer = look.call(look.object);
    }
    return answer;
  };
  Entry* fired = nullptr;
  Waiter* next = nullptr;
  for (Waiter* waiter = first_; waiter; waiter = next) {
    next = waiter->next;
    if (!waiter->has_changed() && !says_so(waiter->look)) continue;
    unlink(*waiter, first_);
    if (!claim_for(*waiter)) continue;
    waiter->entry->next = fired;
    fired = waiter->entry;
  }
  std::erase_if(processes_, [](const WatchedProcess& process) { return !process.asked_for; });
  moved = fired || std::exchange(is_new_, false);
  return fired;
}

void Waits::watch_all() {
  std::vector<pollfd> polled;
  std::vector<ProcessStamp> stamps;
  std::int64_t tick = kShortestTick;
  int idle = 0;
  for (;;) {
    Entry* fired = nullptr;
    polled.clear();
    stamps.clear();
    {
      const std::lock_guard guard{lock_};
      bool moved = false;
      fired = look_at_all(moved);
      tick = moved ? kShortestTick : std::min(tick * 2, kLongestTick);
      idle = first_ ? 0 : idle + 1;
      idles_ = idle > kIdleTicksBeforeSleep;
      polled.push_back({poke_, POLLIN, 0});
      for (const WatchedProcess& process : processes_) {
        if (process.gone) continue;
        polled.push_back({process.pidfd.get(), POLLIN, 0});
        stamps.push_back(process.stamp);
      }
    }
    weft::detail::deliver_all(fired);
    // The descriptors stay open: nobody else closes them.
    const timespec timeout{0, static_cast<long>(tick)};
    if (::ppoll(polled.data(), polled.size(), idle > kIdleTicksBeforeSleep ? nullptr : &timeout, nullptr) <= 0) continue;
    if (polled[0].revents != 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const auto bytes = ::read(polled[0].fd, &count, sizeof count);
      idle = 0;
    }
    const std::lock_guard guard{lock_};
    for (std::size_t i = 1; i < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      for (WatchedProcess& process : processes_) {
        if (process.stamp == stamps[i - 1]) process.gone = true;
      }
    }
  }
}

}  // namespace

bool watched_process_is_gone(ProcessStamp stamp) noexcept { return waits().is_gone(stamp); }

bool shared_enlist(SharedWaiter& waiter) noexcept { return waits().enlist(waiter, true); }
void shared_withdraw(SharedWaiter& waiter) noexcept { waits().withdraw(waiter); }

int shared_wake(const SharedWord& word, int count) noexcept {
  return port::futex_wake_shared(port::futex_word(word), count);
}

Outcome shared_wait(const SharedWord& word, std::uint32_t expected, const Wait& record, Deadline deadline,
                    Interruptible interruptible, Look look) noexcept {
  Context& self = weft::detail::current_context();
  Entry entry;
  Waiter waiter{.word = &word, .expected = expected, .look = look, .entry = &entry};
  if (!weft::detail::arm(self, entry, interruptible)) return weft::detail::kInterrupted;
  const bool watched = waits().enlist(waiter, self.is_fiber());
  const Deadline until =
      watched ? deadline : Deadline::earlier(deadline, Deadline::after(kSliceWithoutHelpers));
  weft::detail::fence_before_park();
  Outcome outcome = self.is_fiber() ? weft::detail::park(self, record, until)
                                    : static_cast<weft::detail::ThreadContext&>(self).park_on_word(
                                          port::futex_word(word), expected, record, until);
  if (watched) waits().withdraw(waiter);
  if (!watched) {
    waits().look(look);
    if (outcome == kTimedOut && !deadline.has_passed()) outcome = kFired;
  }
  // A wake-up may have come, and been spent on us, before the deadline or the kill did: another one is to have it.
  if (outcome != kFired && waiter.has_changed()) shared_wake(word, 1);
  return outcome;
}

}  // namespace weft::process::detail
