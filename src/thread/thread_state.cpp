#include "thread/thread_state.hpp"

#include <cxxabi.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include <weft/base/error.hpp>

#include "engine/enlisted_wait.hpp"
#include "port/signals.hpp"
#include "thread/threads.hpp"

namespace weft::detail {

namespace {

// The kernel keeps 15 bytes; a character is not cut in two.
std::string cut(const std::string& name) {
  std::size_t length = 15;
  if (name.size() <= length) return name;
  while (length > 0 && (static_cast<unsigned char>(name[length]) & 0xC0) == 0x80) --length;
  return name.substr(0, length);
}

/// pthread attributes for as long as a thread is made.
class Attributes {
 public:
  Attributes() {
    ::pthread_attr_init(&attributes_);
    ::pthread_attr_setdetachstate(&attributes_, PTHREAD_CREATE_DETACHED);
  }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  ~Attributes() { ::pthread_attr_destroy(&attributes_); }

  [[nodiscard]] int set_stack(std::size_t bytes) { return ::pthread_attr_setstacksize(&attributes_, bytes); }
  [[nodiscard]] const pthread_attr_t* get() const { return &attributes_; }

 private:
  pthread_attr_t attributes_;
};

}  // namespace

ThreadState::ThreadState(Kind kind, std::string name, std::uint64_t ident, int native_id)
    : kind_{kind},
      phase_{Phase::Alive},
      ident_{ident},
      native_id_{native_id},
      name_{std::move(name)},
      daemon_{kind != Kind::Main} {}

std::mutex& ThreadState::threads_lock() noexcept { return Threads::all().lock; }

// ---- what it is ----------------------------------------------------------------------------------------------------

bool ThreadState::is_alive() const noexcept {
  const Phase phase = phase_.load(std::memory_order_acquire);
  return phase == Phase::Alive || phase == Phase::Starting;
}

void ThreadState::give_default_name() {
  if (name_.empty()) name_ = Threads::all().next_name();
}

std::string ThreadState::name() {
  const std::lock_guard guard{threads_lock()};
  give_default_name();
  return name_;
}

std::string ThreadState::quoted_name() { return "thread \"" + name() + '"'; }

void ThreadState::set_name(std::string name) {
  const std::lock_guard guard{threads_lock()};
  name_.swap(name);
  if (context_) context_->name.set(name_);
  if (in_body_) show_name();
}

// Only for threads of weft: the main thread's is the name of the process, and others have been named by who made them.
void ThreadState::show_name() const noexcept { ::pthread_setname_np(handle_, cut(name_).c_str()); }

void ThreadState::attach_context(Context& context) noexcept {
  const std::lock_guard guard{threads_lock()};
  context_ = &context;
  context.name.set(name_);
}

bool ThreadState::daemon() const {
  const std::lock_guard guard{threads_lock()};
  return daemon_;
}

void ThreadState::set_daemon(bool daemon) {
  const std::lock_guard guard{threads_lock()};
  require_new("set_daemon");
  daemon_ = daemon;
}

void ThreadState::require_new(const char* what) const {
  if (phase_.load(std::memory_order_relaxed) == Phase::New) return;
  throw InvalidStateError{std::string{what} + ": thread \"" + name_ + "\" was started already"};
}

bool ThreadState::runs_on(const Thread* object) const noexcept {
  const std::lock_guard guard{threads_lock()};
  return object_ == object;
}

// ---- beginning -----------------------------------------------------------------------------------------------------

void ThreadState::start(Thread* object, std::shared_ptr<Thread> keep) {
  Threads& threads = Threads::all();
  threads.see_to_the_end();
  // The thread's own share: handles may be gone before it begins.
  auto share = std::make_unique<Share>(shared_from_this());
  bool counted = false;
  {
    const std::lock_guard guard{threads.lock};
    require_new("start");
    if (!object && !body_) {
      throw InvalidStateError{"start: a Thread with nothing to run: made without a callable, or copied from an object "
                              "of a class that derives from Thread"};
    }
    give_default_name();
    phase_.store(Phase::Starting, std::memory_order_relaxed);
    object_ = object;
    keep_ = std::move(keep);
    threads.enlist(*this);
    counted = !daemon_;
    if (counted) threads.count_in();
  }
  refusal_ = {};
  if (create_thread(std::move(share))) await_begin();
  if (refusal_.error == 0) return;
  {
    const std::lock_guard guard{threads.lock};
    threads.strike(*this);
    object_ = nullptr;
    keep.swap(keep_);  // destroyed below, without the lock
    phase_.store(Phase::New, std::memory_order_relaxed);
  }
  if (counted) threads.count_out();
  throw OSError{refusal_.error, refusal_.operation, quoted_name()};
}

/// False: refused.
bool ThreadState::create_thread(std::unique_ptr<Share> share) {
  Attributes attributes;
  if (options_.stack_bytes != 0) {
    const int error = attributes.set_stack(options_.stack_bytes);
    if (error != 0) {
      refusal_ = {error, "give a stack of " + std::to_string(options_.stack_bytes) + " bytes to"};
      return false;
    }
  }
  // No handler of a signal runs in a thread that has not begun.
  const port::SignalsBlocked blocked;
  signals_ = options_.blocked_signals ? *options_.blocked_signals : blocked.before();
  pthread_t made{};
  const int error = ::pthread_create(&made, attributes.get(), &enter, share.get());
  if (error != 0) {
    refusal_ = {error, "start"};
    return false;
  }
  (void)share.release();
  return true;
}

// Not interruptible: there is no way back, and it is soon over.
void ThreadState::await_begin() noexcept {
  Context& self = current_context();
  Entry entry;
  (void)arm(self, entry, Interruptible::No);
  {
    std::unique_lock guard{threads_lock()};
    if (phase_.load(std::memory_order_relaxed) != Phase::Starting) {
      guard.unlock();
      disarm_granted(self);
      return;
    }
    starter_ = &entry;
  }
  (void)park(self, {.kind = WaitKind::Join, .object = this}, Deadline::never());
}

/// With the lock held. `starter` is to be delivered without it.
void ThreadState::settle(Phase phase, Entry*& starter) noexcept {
  phase_.store(phase, std::memory_order_release);
  starter = std::exchange(starter_, nullptr);
  if (starter && !claim(*starter, kFired)) starter = nullptr;
}

void* ThreadState::enter(void* share) {
  std::unique_ptr<Share> own{static_cast<Share*>(share)};
  Share state = std::move(*own);
  own.reset();
  ThreadState& self = *state;
  if (!self.begin()) return nullptr;
  // Before all other thread_local objects, so that this one is the last to be destroyed.
  Threads::all().become(std::move(state));
  self.work();
  // After a fork() in this thread it is the child's main thread, which has come to its end.
  if (self.kind() == Kind::Main) std::exit(0);
  return nullptr;
}

bool ThreadState::begin() noexcept {
  Context& context = current_context();
  Refusal refusal = apply_scheduling(options_);
  const bool refused = refusal.error != 0;
  Entry* starter = nullptr;
  const sigset_t signals = signals_;
  {
    const std::lock_guard guard{threads_lock()};
    if (refused) {
      refusal_ = std::move(refusal);
      settle(Phase::Refused, starter);
    } else {
      ident_.store(context.id, std::memory_order_relaxed);
      native_id_.store(::gettid(), std::memory_order_relaxed);
      handle_ = ::pthread_self();
      context_ = &context;
      context.name.set(name_);
      in_body_ = true;
      show_name();
      settle(Phase::Alive, starter);
    }
  }
  if (starter) deliver(*starter);
  if (!refused) ::pthread_sigmask(SIG_SETMASK, &signals, nullptr);
  return !refused;
}

// ---- working -------------------------------------------------------------------------------------------------------

void ThreadState::work() {
  std::exception_ptr failure;
  run_body(failure);
  if (failure) report_uncaught(shared_from_this(), std::move(failure));
}

void ThreadState::run_body(std::exception_ptr& failure) {
  // Also when pthread_exit() unwinds the thread.
  struct End {
    ThreadState& state;
    ~End() {
      state.end_body();
      state.release_body();
    }
  } end{*this};
  Thread* object = nullptr;
  {
    const std::lock_guard guard{threads_lock()};
    if (killed_) return;
    object = object_;
  }
  try {
    object ? object->run() : call_body();
  } catch (const Cancelled&) {
    // As it was asked to.
  } catch (const abi::__forced_unwind&) {
    throw;
  } catch (...) {
    failure = std::current_exception();
  }
}

void ThreadState::call_body() {
  if (!body_) throw InvalidStateError{"run: " + quoted_name() + " has nothing to run"};
  body_();
}

void ThreadState::end_body() noexcept {
  const std::lock_guard guard{threads_lock()};
  in_body_ = false;
  object_ = nullptr;
  // A kill that came too late concerns nobody: hooks and destructors from here on may block.
  if (Context* context = std::exchange(context_, nullptr)) {
    context->cancel.fetch_and(~Context::kKilled, std::memory_order_relaxed);
  }
}

// What the thread was given; its destructors may block.
void ThreadState::release_body() noexcept {
  body_ = nullptr;
  std::shared_ptr<Thread> keep;
  const std::lock_guard guard{threads_lock()};
  keep.swap(keep_);
}

// ---- from outside --------------------------------------------------------------------------------------------------

void ThreadState::kill() {
  const std::lock_guard guard{threads_lock()};
  if (kind() != Kind::Own) {
    throw InvalidStateError{"kill: thread \"" + name_ + "\" was not started by weft"};
  }
  killed_ = true;
  // While the lock is held and its body has not ended, its context exists.
  if (context_) request_cancel(*context_);
}

std::size_t ThreadState::holder(const void* state, std::uint64_t* ids, std::size_t) noexcept {
  ids[0] = static_cast<const ThreadState*>(state)->ident();
  return ids[0] != 0 ? 1 : 0;
}

void ThreadState::require_joinable() {
  const Phase phase = phase_.load(std::memory_order_acquire);
  if (kind() == Kind::Foreign || kind() == Kind::Fiber) {
    throw InvalidStateError{"join: " + quoted_name() + " only stands in for what weft did not start as a thread"};
  }
  if (phase == Phase::New || phase == Phase::Refused) {
    throw InvalidStateError{"join: " + quoted_name() + " has not been started"};
  }
  if (current_context_id() == ident()) {
    throw InvalidStateError{"join: " + quoted_name() + " cannot wait for its own end"};
  }
}

bool ThreadState::enlist(Entry& entry) noexcept {
  const std::lock_guard guard{threads_lock()};
  if (has_ended()) return false;
  joiners_.push_back(entry);
  return true;
}

void ThreadState::withdraw(Entry& entry) noexcept {
  const std::lock_guard guard{threads_lock()};
  if (entry.linked) joiners_.remove(entry);
}

bool ThreadState::join_until(Deadline deadline) {
  require_joinable();
  if (has_ended()) return true;
  return wait_enlisted(current_context(), {.kind = WaitKind::Join, .object = this, .holders = &holder}, deadline,
                       [this](Entry& entry) { return enlist(entry); }, [this](Entry& entry) { withdraw(entry); });
}

// ---- in a select() -------------------------------------------------------------------------------------------------

ThreadEndWay::ThreadEndWay(std::shared_ptr<ThreadState> state) : state_{std::move(state)} { state_->require_joinable(); }
bool ThreadEndWay::try_now() { return state_->has_ended(); }
bool ThreadEndWay::enlist() noexcept { return state_->enlist(entry); }
void ThreadEndWay::withdraw() noexcept { state_->withdraw(entry); }

}  // namespace weft::detail
