#include "engine/waits.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <unordered_set>

#include "engine/far_watch.hpp"
#include "engine/fiber_context.hpp"
#include "engine/helper_pool.hpp"
#include "engine/scheduler.hpp"
#include "engine/thread_context.hpp"
#include "port/own_memory.hpp"
#include "port/sanitizer_threads.hpp"

namespace weft::detail {

namespace {

constexpr std::size_t kMostHolders = 64;
constexpr std::size_t kMostCallers = 16;

template <class Visit>
void for_each_context(const std::vector<Scheduler*>& schedulers, Visit visit) {
  for_each_thread([&](ThreadContext& thread) { visit(thread); });
  for (Scheduler* scheduler : schedulers) {
    scheduler->for_each_pool([&](StackPool& pool) { pool.for_each_bound(visit); });
  }
}

std::vector<std::uint64_t> holders_of(const Wait& wait) {
  std::uint64_t ids[kMostHolders];
  const std::size_t count = wait.holders ? wait.holders(wait.object, ids, kMostHolders) : 0;
  // More than can be told are as good as unknown: each of them counts.
  return count > kMostHolders ? std::vector<std::uint64_t>{} : std::vector<std::uint64_t>(ids, ids + count);
}

SeenWait seen_by(const Pin& pin, Context& context) {
  SeenWait seen;
  seen.context = &context;
  seen.id = context.id;
  seen.epoch = word::epoch(pin.seen());
  seen.since = pin.wait().since;
  seen.can_throw = (pin.seen() & word::kCannotThrow) == 0;
  return seen;
}

bool is_still(const Pin& pin, const SeenWait& seen) {
  return pin && seen.context->id == seen.id && word::epoch(pin.seen()) == seen.epoch;
}

std::string name_of(const Context& context) {
  if (context.is_fiber()) {
    return "fiber \"" + (context.name.empty() ? "Fiber-" + std::to_string(context.id) : context.name.get()) + '"';
  }
  return "thread \"" + thread_name(static_cast<const ThreadContext&>(context)) + '"';
}

std::string name_of(const Wait& wait) {
  static constexpr const char* kNames[] = {"nothing", "time to pass", "Lock", "Event", "Condition", "Semaphore", "Queue",
                                           "the end of", "input", "output", "a helper thread", "RLock", "RWLock", "Once", "select",
                                           "Future", "room", "the end of Process", "the end of work"};
  std::string text = kNames[static_cast<std::size_t>(wait.kind)];
  if (wait.label.name() || wait.label.has_site()) text += ' ' + wait.label.text();
  if (wait.kind == WaitKind::Future || wait.kind == WaitKind::Room || wait.kind == WaitKind::Work) {
    char explanation[128] = "";
    static_cast<const Explained*>(wait.object)->explain(explanation, sizeof explanation);
    text += explanation;
  }
  return text;
}

// Along the frame pointers, from the frame of park(): weft keeps them, so that the first caller outside is always there.
// Through the kernel, as what a program without frame pointers has in that register may point anywhere.
std::vector<std::uintptr_t> callers_of(const Wait& wait) {
  constexpr std::uintptr_t kLargestFrame = 1024 * 1024;
  std::vector<std::uintptr_t> callers;
  auto frame = reinterpret_cast<std::uintptr_t>(wait.frame);
  while (callers.size() < kMostCallers) {
    std::uintptr_t words[2];  // the caller's frame, and where it goes on
    if (frame % alignof(void*) != 0 || !port::read_own_memory(frame, words, sizeof words) || words[1] < 4096) break;
    callers.push_back(words[1]);
    if (words[0] <= frame || words[0] - frame > kLargestFrame) break;
    frame = words[0];
  }
  return callers;
}

bool may_be_ended_from_outside(const Wait& wait) {
  switch (wait.kind) {
    case WaitKind::None:
    case WaitKind::Sleep:
    case WaitKind::Read:
    case WaitKind::Write:
    case WaitKind::Blocking:
    case WaitKind::Process:
      return true;
    default:
      return wait.timed || wait.outside;
  }
}

bool all_workers_rest(const std::vector<Scheduler*>& schedulers) {
  for (Scheduler* scheduler : schedulers) {
    for (const auto& worker : scheduler->workers()) {
      if (worker->thread_id() != 0 && !worker->asleep.load(std::memory_order_relaxed)) return false;
      if (worker->timers().next_due() != INT64_MAX) return false;  // a fiber's start, perhaps, and no context tells of that
    }
  }
  return true;
}

}  // namespace

std::vector<SeenWait> held_up(const std::vector<Scheduler*>& schedulers, std::int64_t before) {
  std::vector<SeenWait> found;
  for_each_context(schedulers, [&](Context& context) {
    if (!context.held_up.load(std::memory_order_relaxed)) return;  // most are not, and need no pin to say so
    const Pin pin{context};
    if (!pin || !pin.wait().holders || pin.wait().timed || pin.wait().since > before) return;
    std::vector<std::uint64_t> holders = holders_of(pin.wait());
    std::vector<FarHolder> far;
    if (holders.empty() && far_watch() && pin.wait().outside) far = far_watch()->holders_of(pin.wait());
    if (holders.empty() && far.empty()) return;
    found.push_back(seen_by(pin, context));
    found.back().holders = std::move(holders);
    found.back().far = std::move(far);
  });
  return found;
}

bool still_waits(const SeenWait& seen, Compare what) {
  const Pin pin{*seen.context};
  return is_still(pin, seen) && (what == Compare::Wait || holders_of(pin.wait()) == seen.holders);
}

namespace {

WaitStory story_of(const Pin& pin, const Context& context) {
  WaitStory story;
  story.who = name_of(context);
  story.object = name_of(pin.wait());
  story.kind = pin.wait().kind;
  story.since = pin.wait().since;
  return story;
}

}  // namespace

WaitStory tell(const SeenWait& seen) {
  const Pin pin{*seen.context};
  if (!is_still(pin, seen)) return {};
  WaitStory story = story_of(pin, *seen.context);
  story.callers = callers_of(pin.wait());
  return story;
}

WaitStory tell_briefly(const SeenWait& seen) {
  const Pin pin{*seen.context};
  return is_still(pin, seen) ? story_of(pin, *seen.context) : WaitStory{};
}

namespace {

// Threads that weft does not know may end this process at any moment.
bool are_all_threads(const std::vector<int>& known) {
  DIR* const tasks = ::opendir("/proc/self/task");
  if (!tasks) return false;
  bool all = true;
  while (const dirent* task = all ? ::readdir(tasks) : nullptr) {
    if (task->d_name[0] == '.') continue;
    const int thread = std::atoi(task->d_name);
    all = std::find(known.begin(), known.end(), thread) != known.end() || port::is_sanitizer_thread(thread);
  }
  ::closedir(tasks);
  return all;
}

}  // namespace

// Weft's own threads do nothing by themselves but what ends waits that are told of: except helpers, which run the program's functions,
// and workers, which run its fibers.
OthersMayAct others_may_act(const std::vector<Scheduler*>& schedulers, const std::vector<SeenWait>& waits) {
  const bool all_rest = all_workers_rest(schedulers) && helpers_rest();
  std::unordered_set<std::uint64_t> waiting;
  for (const SeenWait& seen : waits) waiting.insert(seen.id);
  std::vector<int> known;
  bool nobody = true;
  for_each_context(schedulers, [&](Context& context) {
    if (context.process != this_process()) return;
    if (context.is_fiber()) {
      nobody = nobody && waiting.count(context.id) != 0;
      return;
    }
    const auto& thread = static_cast<ThreadContext&>(context);
    const ThreadNow now = thread_now(thread);
    if (now.number == 0) return;
    known.push_back(now.number);
    nobody = nobody && (thread.of_engine.load(std::memory_order_relaxed) || waiting.count(now.id) != 0);
  });
  if (!nobody) return OthersMayAct::Yes;
  return all_rest && are_all_threads(known) ? OthersMayAct::No : OthersMayAct::Unclear;
}

std::vector<SeenWait> all_blocked(const std::vector<Scheduler*>& schedulers, std::size_t most) {
  std::vector<SeenWait> found;
  for_each_context(schedulers, [&](Context& context) {
    if (found.size() == most) return;
    const Pin pin{context};
    if (pin) found.push_back(seen_by(pin, context));
  });
  return found;
}

Standstill look_for_standstill(const std::vector<Scheduler*>& schedulers) {
  Standstill standstill;
  standstill.complete = all_workers_rest(schedulers);
  for_each_context(schedulers, [&](Context& context) {
    const Pin pin{context};
    if (!pin) {
      // A thread that is outside weft may do anything next; a fiber that does not wait is about to run.
      if (context.is_fiber() || static_cast<ThreadContext&>(context).may_act()) standstill.complete = false;
      return;
    }
    ++standstill.blocked;
    if (may_be_ended_from_outside(pin.wait())) standstill.complete = false;
    standstill.fingerprint += mark_of_wait(context.id, word::epoch(pin.seen()));
  });
  return standstill;
}

}  // namespace weft::detail
