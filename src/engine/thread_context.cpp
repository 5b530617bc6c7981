#include "engine/thread_context.hpp"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>

#include <weft/detail/wait_list.hpp>

#include "engine/greenlets.hpp"
#include "engine/locals.hpp"
#include "engine/spin_lock.hpp"
#include "port/futex.hpp"
#include "port/sanitizer.hpp"

namespace weft::detail {

namespace {

SpinLock pool_lock;
ThreadContext* pool = nullptr;  // guarded by pool_lock
std::atomic<ThreadContext*> all_made{nullptr};  // written under pool_lock

thread_local Context* current = nullptr;

struct IdBlock {
  std::uint64_t next = 0;
  std::uint64_t end = 0;
};
thread_local IdBlock ids;
std::atomic<std::uint64_t> next_id_block{1};
constexpr std::uint64_t kIdBlock = 1024;

ThreadContext& make_context(std::uint64_t id) {
  auto* context = new ThreadContext{id};
  const std::lock_guard guard{pool_lock};
  context->next_made = all_made.load(std::memory_order_relaxed);
  all_made.store(context, std::memory_order_release);
  return *context;
}

ThreadContext& take_context() {
  {
    const std::lock_guard guard{pool_lock};
    if (ThreadContext* free = pool) {
      pool = free->next_free;
      free->id = next_context_id();
      // A kill that was meant for the former thread does not concern this one.
      free->cancel.store(0, std::memory_order_relaxed);
      free->name.clear();
      free->of_engine.store(false, std::memory_order_relaxed);
      return *free;
    }
  }
  return make_context(next_context_id());
}

/// Gives the context back when its thread ends. By a key, not by a thread_local object: keys come last, so that destructors
/// of thread_local objects may still block.
WEFT_PER_THREAD void give_back(void* adopted) {
  auto* context = static_cast<ThreadContext*>(adopted);
  if (context->greenlets) end_greenlets(*context);
  if (context->locals) end_locals(*context);
  if (context->greenlets) end_greenlets(*context);  // of the destructors of Locals
  current = nullptr;
  context->thread_id.store(0, std::memory_order_relaxed);
  const std::lock_guard guard{pool_lock};
  context->next_free = pool;
  pool = context;
}

// No local static variable: a child forked while another thread initializes it would wait for that thread for ever.
pthread_key_t adoption_key() {
  static std::atomic<std::uint64_t> known{0};  // the key plus one
  std::uint64_t key = known.load(std::memory_order_acquire);
  if (key == 0) {
    pthread_key_t made = 0;
    ::pthread_key_create(&made, give_back);
    if (known.compare_exchange_strong(key, std::uint64_t{made} + 1, std::memory_order_acq_rel)) return made;
    ::pthread_key_delete(made);  // another thread was faster
  }
  return static_cast<pthread_key_t>(key - 1);
}

[[gnu::noinline]] WEFT_PER_THREAD Context& adopt_thread() {
  ThreadContext& context = take_context();
  context.thread_id.store(::gettid(), std::memory_order_relaxed);
  ::pthread_setspecific(adoption_key(), &context);
  current = &context;
  return context;
}

}  // namespace

std::atomic<std::uint32_t> forks_survived{0};

[[gnu::noinline]] WEFT_PER_THREAD Context& current_context() noexcept {
  asm volatile("");  // never merged with a call on the other side of a switch
  Context* context = current;
  return context ? *context : adopt_thread();
}

[[gnu::noinline]] WEFT_PER_THREAD std::uint64_t current_context_id() noexcept {
  asm volatile("");
  Context* context = current;
  return context ? context->id : adopt_thread().id;
}

[[gnu::noinline]] WEFT_PER_THREAD Context*& current_context_slot() noexcept {
  asm volatile("");
  return current;
}

void lock_threads_for_fork() noexcept { pool_lock.lock(); }
void unlock_threads_after_fork() noexcept { pool_lock.unlock(); }

void become_plain_thread() noexcept {
  // Contexts of the parent's threads that ended are not worth keeping: their events are shared with the parent.
  pool = nullptr;
  if (!current) return;
  // A fiber's stack goes on as it is; only its context is another kind now, under the same id.
  auto* context = new ThreadContext{current->id};  // not by make_context(): its lock is held
  context->thread_id.store(::getpid(), std::memory_order_relaxed);  // the same in a process's only thread
  context->next_made = all_made.load(std::memory_order_relaxed);
  all_made.store(context, std::memory_order_release);
  inherit_locals(*context, *current);
  inherit_greenlets(*context, *current);
  ::pthread_setspecific(adoption_key(), context);
  current = context;
}

ThreadContext& own_thread_context() noexcept {
  Context& self = current_context();
  if (!self.is_fiber()) return static_cast<ThreadContext&>(self);
  return *static_cast<ThreadContext*>(::pthread_getspecific(adoption_key()));
}

void mark_engine_thread() noexcept { own_thread_context().of_engine.store(true, std::memory_order_relaxed); }

ThreadContext* all_threads() noexcept { return all_made.load(std::memory_order_acquire); }

namespace {

// What the system calls a thread.
std::string system_name(int number) {
  std::string name;
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/comm", number);
  if (std::FILE* file = std::fopen(path, "re")) {
    char line[32] = {};
    if (std::fgets(line, sizeof line, file)) name = line;
    std::fclose(file);
  }
  if (!name.empty() && name.back() == '\n') name.pop_back();
  return name;
}

}  // namespace

// A context gets its next id under the lock, before its thread_id.
ThreadNow thread_now(const ThreadContext& thread) noexcept {
  const std::lock_guard guard{pool_lock};
  return {thread.thread_id.load(std::memory_order_relaxed), thread.id};
}

std::string thread_name(const ThreadContext& thread) {
  if (!thread.name.empty()) return thread.name.get();
  const int number = thread.thread_id.load(std::memory_order_relaxed);
  const int main_thread = ::getpid();
  if (number == main_thread) return "MainThread";
  const std::string name = system_name(number);
  // Threads that were given no name have that of the program: all the same.
  return name == system_name(main_thread) ? name + '-' + std::to_string(number) : name;
}

[[gnu::noinline]] WEFT_PER_THREAD std::uint64_t next_context_id() noexcept {
  asm volatile("");
  IdBlock& block = ids;
  if (block.next == block.end) {
    block.next = next_id_block.fetch_add(kIdBlock, std::memory_order_relaxed);
    block.end = block.next + kIdBlock;
  }
  return block.next++;
}

ThreadStack thread_stack() noexcept {
  ThreadStack stack;
  pthread_attr_t attributes;
  if (::pthread_getattr_np(::pthread_self(), &attributes) == 0) {
    ::pthread_attr_getstack(&attributes, &stack.bottom, &stack.bytes);
    ::pthread_attr_destroy(&attributes);
  }
  return stack;
}

// ---- blocking an OS thread -------------------------------------------------------------------------------------------

bool ThreadContext::fall_asleep() noexcept {
  std::uint64_t seen = waiter.load(std::memory_order_relaxed);
  while (word::state(seen) == word::kArmed) {
    if (waiter.compare_exchange_weak(seen, (seen & ~word::kStateMask) | word::kParked, std::memory_order_acq_rel,
                                     std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

// Claimed, but the claimer may still hold the object's list bit: it lets go by settling the word.
Outcome ThreadContext::settled() noexcept {
  Backoff backoff;
  std::uint64_t seen = waiter.load(std::memory_order_acquire);
  while (word::state(seen) != word::kSettled) {
    backoff.pause();
    seen = waiter.load(std::memory_order_acquire);
  }
  return word::outcome(seen);
}

Outcome ThreadContext::park(Deadline deadline) noexcept {
  if (!fall_asleep()) return settled();
  for (;;) {
    const std::uint64_t seen = waiter.load(std::memory_order_acquire);
    if (word::state(seen) != word::kParked) return settled();
    const int result = port::futex_wait(port::futex_low_half(waiter), static_cast<std::uint32_t>(seen), deadline);
    if (result == -ETIMEDOUT && settle_own(*this, word::kParked, kTimedOut)) return kTimedOut;
  }
}

namespace {

void drain(int event) noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto bytes = ::read(event, &count, sizeof count);
}

Outcome first_ready(const ThreadContext::Polled& polled) noexcept {
  for (std::size_t i = 0; i < polled.count; ++i) {
    if (polled.entries[i].revents != 0) return polled.outcomes[i];
  }
  return polled.outcomes[0];
}

}  // namespace

Outcome ThreadContext::park_on(Polled polled, Wait record, Deadline own_deadline) noexcept {
  if (event_.load(std::memory_order_relaxed) < 0) {
    event_.store(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), std::memory_order_relaxed);
  }
  if (killed_before_park(*this)) return kInterrupted;
  const ScopedDeadline until{*this, own_deadline};
  const Deadline deadline = until.deadline();
  const PublishedWait published{*this, record, deadline, __builtin_frame_address(0)};
  // Published by the release in fall_asleep(): whoever claims the wait as parked sees it.
  polling_.store(true, std::memory_order_relaxed);
  if (fall_asleep()) {
    const int event = event_.load(std::memory_order_relaxed);
    pollfd& wake_up = polled.entries[polled.count];
    wake_up = {event, POLLIN, 0};
    while (word::state(waiter.load(std::memory_order_acquire)) == word::kParked) {
      timespec left{};
      const bool forever = deadline.is_never();
      if (!forever) {
        const std::int64_t ns = deadline.remaining().count();
        left = {ns / 1'000'000'000, ns % 1'000'000'000};
      }
      // Without an eventfd (no descriptors left) a wake-up could not end the poll: look again every 10 ms.
      if (event < 0 && (forever || left.tv_sec > 0 || left.tv_nsec > 10'000'000)) left = {0, 10'000'000};
      const int ready = ::ppoll(polled.entries, polled.count + 1, forever && event >= 0 ? nullptr : &left, nullptr);
      const bool woken = ready > 0 && wake_up.revents != 0;
      if (woken) drain(event);  // we are claimed, or it was for a former wait
      if (ready > (woken ? 1 : 0) || (ready < 0 && errno != EINTR)) {
        if (settle_own(*this, word::kParked, first_ready(polled))) break;
      } else if (ready == 0 && deadline.has_passed()) {
        if (settle_own(*this, word::kParked, kTimedOut)) break;
      }
    }
  }
  const Outcome outcome = settled();
  polling_.store(false, std::memory_order_relaxed);
  return until.judge(outcome);
}

namespace {

// 0: the shared word was woken, or differs. Anything else but -ETIMEDOUT: look at the own word again.
int sleep_on_both(const std::uint32_t* shared, std::uint32_t expected, const std::uint32_t* own, std::uint32_t own_expected,
                  Deadline deadline) noexcept {
  constexpr auto kLookEvery = std::chrono::milliseconds{10};
  static std::atomic<bool> only_one{false};
  if (!only_one.load(std::memory_order_relaxed)) {
    const port::FutexWord both[2] = {{shared, expected, true}, {own, own_expected, false}};
    const int result = port::futex_wait_any(both, 2, deadline);
    if (result != -ENOSYS && result != -EPERM) return result;  // EPERM: as sandboxes answer what they do not know
    only_one.store(true, std::memory_order_relaxed);
  }
  const Deadline slice = Deadline::after(kLookEvery);
  const int result = port::futex_wait_shared(shared, expected, Deadline::earlier(deadline, slice));
  return result == -ETIMEDOUT && !deadline.has_passed() ? -EINTR : result;
}

}  // namespace

Outcome ThreadContext::park_on_word(const std::uint32_t* shared, std::uint32_t expected, Wait record,
                                    Deadline own_deadline) noexcept {
  if (killed_before_park(*this)) return kInterrupted;
  const ScopedDeadline until{*this, own_deadline};
  const PublishedWait published{*this, record, until.deadline(), __builtin_frame_address(0)};
  if (!fall_asleep()) return until.judge(settled());
  for (;;) {
    const std::uint64_t seen = waiter.load(std::memory_order_acquire);
    if (word::state(seen) != word::kParked) return until.judge(settled());
    // A pin changes the own word's low half for a moment: an -EAGAIN for that must not end the wait.
    const int result = sleep_on_both(shared, expected, port::futex_low_half(waiter), static_cast<std::uint32_t>(seen),
                                     until.deadline());
    if (result == -ETIMEDOUT) {
      if (settle_own(*this, word::kParked, kTimedOut)) return until.judge(kTimedOut);
    } else if (result == 0 || __atomic_load_n(shared, __ATOMIC_ACQUIRE) != expected) {
      if (settle_own(*this, word::kParked, kFired)) return kFired;
    }
  }
}

void ThreadContext::wake() noexcept {
  if (polling_.load(std::memory_order_relaxed)) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(event_.load(std::memory_order_relaxed), &one, sizeof one);
  } else {
    port::futex_wake(port::futex_low_half(waiter));
  }
}

}  // namespace weft::detail
