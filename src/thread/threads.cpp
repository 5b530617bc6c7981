#include "thread/threads.hpp"

#include <pthread.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <utility>

#include "engine/immortal.hpp"
#include "engine/thread_context.hpp"
#include "port/futex.hpp"

namespace weft::detail {

namespace {

/// What a thread is, from become() to its end. The destructor runs when the thread ends, or when it calls exit(): in
/// the latter case before any static object is destroyed.
struct Presence {
  std::shared_ptr<ThreadState> state;
  ~Presence();
};

thread_local Presence presence;
thread_local bool gone = false;         // the Presence has been destroyed
thread_local bool counted_here = false;  // among the threads that the end of the process waits for

bool on_main_thread() { return ::gettid() == ::getpid(); }

[[maybe_unused]] const bool main_is_known = [] {
  Threads::all().know_main();
  ::pthread_atfork([] { Threads::all().lock.lock(); }, [] { Threads::all().lock.unlock(); },
                   [] { Threads::all().after_fork_in_child(); });
  return true;
}();

}  // namespace

Threads& Threads::all() noexcept {
  static constinit Immortal<Threads> instance;
  return instance.value;
}

// ---- the list ------------------------------------------------------------------------------------------------------

void Threads::enlist(ThreadState& state) noexcept {
  state.previous = nullptr;
  state.next = first_;
  if (first_) first_->previous = &state;
  first_ = &state;
  ++count_;
}

void Threads::strike(ThreadState& state) noexcept {
  (state.previous ? state.previous->next : first_) = state.next;
  if (state.next) state.next->previous = state.previous;
  --count_;
}

std::vector<std::shared_ptr<ThreadState>> Threads::alive() {
  std::vector<std::shared_ptr<ThreadState>> found;
  const std::lock_guard guard{lock};
  found.reserve(count_);
  for (ThreadState* state = first_; state; state = state->next) found.push_back(state->shared_from_this());
  return found;
}

std::size_t Threads::count() {
  const std::lock_guard guard{lock};
  return count_;
}

// ---- who is who ----------------------------------------------------------------------------------------------------

void Threads::know_main() {
  // Not so when the library is loaded late, by another thread: then the main thread tells its number when it comes
  // here itself.
  if (!on_main_thread()) return;
  main_ident_ = current_context_id();
  become(main());
}

std::shared_ptr<ThreadState> Threads::main() {
  {
    const std::lock_guard guard{lock};
    if (main_) return main_;
  }
  auto made = std::make_shared<ThreadState>(ThreadState::Kind::Main, "MainThread", main_ident_, ::getpid());
  const std::lock_guard guard{lock};
  if (!main_) {
    main_ = std::move(made);
    enlist(*main_);
  }
  return main_;
}

std::shared_ptr<ThreadState> Threads::current() {
  const std::uint64_t ident = current_context_id();
  if (!gone && presence.state) return presence.state;
  std::shared_ptr<ThreadState> state;
  if (on_main_thread()) {
    state = main();
    state->ident_.store(ident, std::memory_order_relaxed);
  } else if (gone || static_cast<ThreadContext&>(current_context()).of_engine.load(std::memory_order_relaxed)) {
    const std::string name = "Dummy-" + std::to_string(ident);
    return std::make_shared<ThreadState>(ThreadState::Kind::Foreign, name, ident, ::gettid());
  } else {
    state = add_foreign(ident);
  }
  if (!gone) become(state);
  return state;
}

std::shared_ptr<ThreadState> Threads::add_foreign(std::uint64_t ident) {
  auto made = std::make_shared<ThreadState>(ThreadState::Kind::Foreign, std::string{}, ident, ::gettid());
  const std::lock_guard guard{lock};
  made->name_ = "Dummy-" + std::to_string(++last_foreign_);
  enlist(*made);
  return made;
}

void Threads::become(std::shared_ptr<ThreadState> state) {
  counted_here = state->kind() == ThreadState::Kind::Own && !state->daemon();
  if (state->kind() == ThreadState::Kind::Foreign) state->attach_context(current_context());
  presence.state = std::move(state);
}

bool Threads::current_is_daemon() {
  // What weft did not start passes nothing on: its threads are as the main thread's.
  return !current_context().is_fiber() && !gone && presence.state &&
         presence.state->kind() == ThreadState::Kind::Own && presence.state->daemon();
}

// ---- the end -------------------------------------------------------------------------------------------------------

namespace {

Presence::~Presence() {
  gone = true;
  if (!state) return;
  Threads& threads = Threads::all();
  switch (state->kind()) {
    case ThreadState::Kind::Main: threads.end_main(*state); break;
    case ThreadState::Kind::Own: threads.end_own(*state); break;
    default: threads.end_foreign(*state);
  }
}

}  // namespace

void Threads::end(ThreadState& state) noexcept {
  Entry* joiners = nullptr;
  {
    const std::lock_guard guard{lock};
    strike(state);
    state.context_ = nullptr;
    state.phase_.store(ThreadState::Phase::Ended, std::memory_order_release);
    joiners = state.joiners_.claim_all();
  }
  deliver_all(joiners);
}

// Its end first: others may wait for it before they end.
void Threads::end_main(ThreadState& state) noexcept {
  end(state);
  wait_for_non_daemons();
}

void Threads::end_own(ThreadState& state) noexcept {
  if (state.in_body_) {  // written by this thread only
    wait_for_non_daemons();  // it called exit()
    return;
  }
  end(state);
  if (std::exchange(counted_here, false)) count_out();
}

void Threads::end_foreign(ThreadState& state) noexcept { end(state); }

void Threads::count_out() noexcept {
  non_daemons_.fetch_sub(1, std::memory_order_release);
  port::futex_wake(port::futex_word(non_daemons_), INT_MAX);
}

// The thread sleeps, whatever context it runs: no fiber should go on elsewhere in the middle of exit().
void Threads::wait_for_non_daemons() noexcept {
  const std::uint32_t own = counted_here ? 1 : 0;
  for (;;) {
    const std::uint32_t left = non_daemons_.load(std::memory_order_acquire);
    if (left <= own) break;
    port::futex_wait(port::futex_word(non_daemons_), left, Deadline::never());
  }
  if (const auto next_step = next_step_.load(std::memory_order_relaxed)) next_step();
  over_.store(true, std::memory_order_relaxed);
}

// For exit() in a thread that weft knows nothing of, or in a fiber. After the destructors of static objects that were
// made later than the first thread: nothing earlier is to be had there.
void Threads::see_to_the_end() noexcept {
  if (!seen_to_.exchange(true, std::memory_order_relaxed)) std::atexit([] { Threads::all().wait_for_non_daemons(); });
}

// ---- fork ----------------------------------------------------------------------------------------------------------

// The lock has been held since before the fork. The other threads have ended, as far as this process is concerned; what
// they kept alive stays so, as they were in the middle of using it; a list of them lets leak checkers see that.
void Threads::after_fork_in_child() noexcept {
  ThreadState* self = gone ? nullptr : presence.state.get();
  if (self) strike(*self);
  while (ThreadState* state = first_) {
    strike(*state);
    state->next = std::exchange(lost_, state);
    state->joiners_ = {};
    state->starter_ = nullptr;
    state->context_ = nullptr;
    state->in_body_ = false;
    state->object_ = nullptr;
    state->phase_.store(ThreadState::Phase::Ended, std::memory_order_relaxed);
  }
  main_.reset();
  // Not current_context(): the engine's own locks may still be held, and it might need one.
  const Context* context = current_context_slot();
  main_ident_ = context ? context->id : 0;
  if (self) {
    main_ = presence.state;
    if (self->kind() == ThreadState::Kind::Foreign) self->name_ = "MainThread";
    self->joiners_ = {};
    self->context_ = nullptr;  // it has another one now
    self->kind_.store(ThreadState::Kind::Main, std::memory_order_relaxed);
    self->daemon_ = false;
    self->ident_.store(main_ident_, std::memory_order_relaxed);
    self->native_id_.store(::getpid(), std::memory_order_relaxed);
    enlist(*self);
  }
  non_daemons_.store(0, std::memory_order_relaxed);
  counted_here = false;
  lock.unlock();
}

}  // namespace weft::detail
