#include <weft/thread/thread.hpp>

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <typeinfo>

#include <weft/base/error.hpp>
#include <weft/thread/current_thread.hpp>

#include "thread/thread_state.hpp"
#include "thread/threads.hpp"

namespace weft {

using detail::ThreadAccess;
using detail::ThreadState;
using detail::Threads;

namespace {

std::shared_ptr<ThreadState> make_state(UniqueFunction<void()> body, bool droppable) {
  auto state = std::make_shared<ThreadState>(std::move(body), droppable);
  if (Threads::all().current_is_daemon()) state->set_daemon(true);
  return state;
}

int number_of(SchedulingPolicy policy) {
  switch (policy) {
    case SchedulingPolicy::Batch: return SCHED_BATCH;
    case SchedulingPolicy::Idle: return SCHED_IDLE;
    case SchedulingPolicy::Fifo: return SCHED_FIFO;
    case SchedulingPolicy::RoundRobin: return SCHED_RR;
    default: return SCHED_OTHER;
  }
}

}  // namespace

// ---- handles -------------------------------------------------------------------------------------------------------

Thread::Thread() : state_{make_state({}, false)} {}
Thread::Thread(Callable, UniqueFunction<void()> body) : state_{make_state(std::move(body), false)} {}
Thread::Thread(Droppable, UniqueFunction<void()> body) : state_{make_state(std::move(body), true)} {}
Thread::Thread(std::shared_ptr<ThreadState> state) noexcept : state_{std::move(state)} {}
Thread::Thread(const Thread& other) : std::enable_shared_from_this<Thread>{}, state_{other.state_} {}

Thread& Thread::operator=(const Thread& other) {
  if (state_ != other.state_) part_from_run();
  state_ = other.state_;
  return *this;
}

Thread::~Thread() { part_from_run(); }

// Whatever the class added to this object has been destroyed already, and its run() uses it: nothing can be saved.
void Thread::part_from_run() const noexcept {
  if (!state_->runs_on(this) || Threads::all().over()) return;
  std::fprintf(stderr,
               "weft: thread \"%s\": its object is destroyed, or assigned to, while its run() goes on; join() it first, "
               "or make it with weft::make_thread()\n",
               state_->name().c_str());
  std::terminate();
}

bool Thread::same_as(const Thread& other) const {
  return state_ == other.state_ || (ident() != 0 && ident() == other.ident());
}

// ---- before start --------------------------------------------------------------------------------------------------

Thread& Thread::set_name(std::string name) {
  state_->set_name(std::move(name));
  return *this;
}

Thread& Thread::set_daemon(bool daemon) {
  state_->set_daemon(daemon);
  return *this;
}

Thread& Thread::set_nice(int nice) {
  state_->set_option("set_nice", [&](auto& options) { options.nice = nice; });
  return *this;
}

Thread& Thread::set_policy(SchedulingPolicy policy, int priority) {
  state_->set_option("set_policy", [&](auto& options) {
    options.policy = number_of(policy);
    options.priority = priority;
  });
  return *this;
}

Thread& Thread::set_cpus(std::initializer_list<unsigned> cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const unsigned cpu : cpus) {
    if (cpu >= CPU_SETSIZE) throw OSError{EINVAL, "choose processor " + std::to_string(cpu) + " for", "a thread"};
    CPU_SET(cpu, &set);
  }
  state_->set_option("set_cpus", [&](auto& options) { options.cpus = set; });
  return *this;
}

Thread& Thread::set_signal_mask(const sigset_t& blocked) {
  state_->set_option("set_signal_mask", [&](auto& options) { options.blocked_signals = blocked; });
  return *this;
}

Thread& Thread::set_stack_bytes(std::size_t bytes) {
  state_->set_option("set_stack_bytes", [&](auto& options) { options.stack_bytes = bytes; });
  return *this;
}

Thread& Thread::start() {
  const bool plain = typeid(*this) == typeid(Thread) || state_->droppable();
  state_->start(plain ? nullptr : this, plain ? nullptr : weak_from_this().lock());
  return *this;
}

void Thread::run() { state_->call_body(); }

// ---- and after -----------------------------------------------------------------------------------------------------

bool Thread::join_until(Deadline deadline) { return state_->join_until(deadline); }
void Thread::kill() { state_->kill(); }
std::string Thread::name() const { return state_->name(); }
bool Thread::daemon() const { return state_->daemon(); }
bool Thread::is_alive() const { return state_->is_alive(); }
std::uint64_t Thread::ident() const { return state_->ident(); }
int Thread::native_id() const { return state_->native_id(); }

// ---- all of them ---------------------------------------------------------------------------------------------------

Thread current_thread() {
  const detail::Context& self = detail::current_context();
  if (!self.is_fiber()) return ThreadAccess::handle(Threads::all().current());
  const std::string name = "DummyThread-" + std::to_string(self.id);
  return ThreadAccess::handle(std::make_shared<ThreadState>(ThreadState::Kind::Fiber, name, self.id, ::gettid()));
}

Thread main_thread() { return ThreadAccess::handle(Threads::all().main()); }

std::vector<Thread> enumerate() {
  std::vector<Thread> threads;
  for (auto& state : Threads::all().alive()) threads.push_back(ThreadAccess::handle(std::move(state)));
  return threads;
}

std::size_t active_count() { return Threads::all().count(); }
std::uint64_t get_ident() noexcept { return detail::current_context_id(); }
int get_native_id() noexcept { return ::gettid(); }

}  // namespace weft
