#include "process/start/process_state.hpp"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/sync/scope.hpp>

#include "engine/descriptor.hpp"
#include "engine/waits.hpp"
#include "port/pidfd.hpp"
#include "port/socket_calls.hpp"
#include "process/start/child.hpp"
#include "process/start/fork_server.hpp"
#include "process/start/launch.hpp"
#include "process/start/lifeline.hpp"
#include "process/start/processes.hpp"
#include "process/start/program.hpp"
#include "process/start/standard_streams.hpp"
#include "process/sync/wait_board.hpp"
#include "thread/threads.hpp"

namespace weft::detail {

namespace {

constexpr int kUnknownExit = 255;

// The kernel is asked, as what the reactor knows may be out of date.
bool is_readable(int fd) noexcept {
  pollfd polled{fd, POLLIN, 0};
  return port::sys_ppoll(&polled, 1, 0) > 0;
}

}  // namespace

ProcessState::ProcessState(std::optional<StartMethod> method, std::unique_ptr<ProcessWork> work) noexcept
    : method_{method}, work_{std::move(work)} {}

ProcessState::ProcessState(std::string name, std::string number, bool daemon) noexcept
    : kind_{Kind::Current}, phase_{Phase::Alive}, name_{std::move(name)}, number_{std::move(number)}, daemon_{daemon} {}

ProcessState::ProcessState(Kind kind, std::string name, pid_t pid, Descriptor* end) noexcept
    : kind_{kind}, phase_{Phase::Alive}, name_{std::move(name)}, pid_{pid}, parent_{this_process()}, end_{end} {}

ProcessState::~ProcessState() {
  if (end_) end_->dispose();
}

// ---- what it is ------------------------------------------------------------------------------------------------------------

bool ProcessState::is_mine() const noexcept { return parent_ == this_process(); }

// Python counts as processes are made; here only those that somebody asks for their name, or starts, so that handles do not count.
void ProcessState::give_number() {
  if (number_.empty() && kind_ == Kind::Child) number_ = Processes::all().next_number();
  if (name_.empty()) name_ = "Process-" + number_;
}

std::string ProcessState::name() {
  const std::lock_guard guard{Processes::all().lock};
  give_number();
  return name_;
}

void ProcessState::set_name(std::string name) {
  const std::lock_guard guard{Processes::all().lock};
  name_.swap(name);
}

void ProcessState::set_daemon(bool daemon) {
  if (kind_ != Kind::Child || phase_.load(std::memory_order_acquire) != Phase::New) {
    throw InvalidStateError{"set_daemon: " + quoted_name() + " was started already"};
  }
  daemon_.store(daemon, std::memory_order_relaxed);
}

pid_t ProcessState::pid() {
  if (kind_ == Kind::Current) return ::getpid();
  require_open("pid");
  return pid_.load(std::memory_order_acquire);
}

void ProcessState::require_open(const char* what) {
  bool closed = false;
  {
    const std::lock_guard guard{Processes::all().lock};
    closed = closed_;
  }
  if (closed) throw InvalidStateError{std::string{what} + ": " + quoted_name() + " was closed"};
}

void ProcessState::require_started(const char* what) {
  require_open(what);
  if (kind_ == Kind::Current) throw InvalidStateError{std::string{what} + ": " + quoted_name() + " is the calling process itself"};
  const Phase phase = phase_.load(std::memory_order_acquire);
  if (phase == Phase::New || phase == Phase::Starting) {
    throw InvalidStateError{std::string{what} + ": " + quoted_name() + " has not been started"};
  }
  if (!is_mine()) {
    throw InvalidStateError{std::string{what} + ": " + quoted_name() + " is no child of this process, but of the one it was forked from"};
  }
}

void ProcessState::require_joinable() { require_started("join"); }

// ---- beginning -------------------------------------------------------------------------------------------------------------

void ProcessState::start(Process* object) {
  Threads::all().see_to_the_end();
  Processes::all().bury_ended(Processes::Bury::Dropped);
  begin_start(object);
  try {
    OwnedFd theirs;
    auto lifeline = std::make_unique<Lifeline>(theirs);
    Launched launched = launch(object, std::move(theirs));
    set_started(std::move(launched), std::move(lifeline));  // if this throws, the child dies of its lifeline
  } catch (...) {
    phase_.store(Phase::New, std::memory_order_release);
    throw;
  }
  work_.reset();  // the copies of its arguments: ends of pipes, for example, of which only the child should have one
}

void ProcessState::begin_start(const Process* object) {
  require_open("start");
  Processes& processes = Processes::all();
  const std::shared_ptr<ProcessState> self = processes.current();
  if (self->daemon() && !self->may_have_children_.load(std::memory_order_relaxed)) {
    throw InvalidStateError{"start " + quoted_name() + ": process \"" + self->name() +
                            "\" is daemonic, and such a process may have no children, as nobody would wait for them"};
  }
  Phase phase = Phase::New;
  if (kind_ != Kind::Child || !phase_.compare_exchange_strong(phase, Phase::Starting, std::memory_order_acq_rel)) {
    throw InvalidStateError{"start: " + quoted_name() + " was started already"};
  }
  if (object || work_) return;
  phase_.store(Phase::New, std::memory_order_release);
  throw InvalidStateError{
      "start: a Process with nothing to run: made without a callable, or copied from an object of a class that derives from Process"};
}

Launched ProcessState::launch(Process* object, OwnedFd theirs) {
  const std::string whom = quoted_name();
  process::detail::WaitBoard::ensure();
  // An object of a class of the program's own exists here only.
  if (object && method_.value_or(StartMethod::Fork) != StartMethod::Fork) {
    throw InvalidStateError{"start " + whom + ": an object of a class that derives from Process can be started by fork only, as its other "
                            "members would not be sent; a Process itself, with a callable and arguments, by any method"};
  }
  const StartMethod method = object ? StartMethod::Fork : method_.value_or(Processes::all().default_method());
  (void)Processes::all().authkey();  // from here on parent and child know the same one
  flush_standard_streams();          // a forked child would write it a second time, others would be ahead of it
  if (method == StartMethod::Fork) return launch_by_fork(*this, object, std::move(theirs), whom);
  require_main_line(process::to_string(method).data());
  process::Outgoing parcel;
  parcel.attach(std::move(theirs));
  send_birth(parcel);
  if (!work_->send(parcel)) throw InvalidStateError{"start: " + whom + " can be started by fork only"};
  return method == StartMethod::Spawn ? launch_by_spawn(parcel, whom) : launch_by_fork_server(parcel, whom);
}

void ProcessState::send_birth(process::Outgoing& out) {
  Processes& processes = Processes::all();
  std::error_code no_folder;
  Birth birth{.name = name(),
              .number = number_,
              .daemon = daemon(),
              .parent_name = processes.current()->name(),
              .parent = ::getpid(),
              .authkey = processes.authkey(),
              .default_method = processes.default_method(),
              .folder = std::filesystem::current_path(no_folder).native(),
              .has_waits = false};
  std::optional<OwnedFd> waits = process::detail::WaitBoard::share();
  birth.has_waits = waits.has_value();
  out(birth);
  if (waits) out.attach(std::move(*waits));
}

void ProcessState::set_started(Launched launched, std::unique_ptr<Lifeline> lifeline) {
  end_ = Descriptor::adopt(launched.end.get(), Descriptor::Nature::Message);
  (void)launched.end.release();
  lifeline_ = std::move(lifeline);
  server_ = launched.server;
  self_buried_ = launched.self_buried;
  parent_ = this_process();
  pid_.store(launched.pid, std::memory_order_release);
  Processes& processes = Processes::all();
  const std::lock_guard guard{processes.lock};
  processes.enlist(shared_from_this());
  phase_.store(Phase::Alive, std::memory_order_release);
}

// ---- in the child ------------------------------------------------------------------------------------------------------------

void ProcessState::become_current() noexcept {
  kind_ = Kind::Current;
  phase_.store(Phase::Alive, std::memory_order_relaxed);
}

void ProcessState::run(Process* object) { object ? object->run() : call_work(); }

void ProcessState::call_work() {
  if (!work_) throw InvalidStateError{"run: " + quoted_name() + " has nothing to run"};
  work_->run();
}

// ---- the end -----------------------------------------------------------------------------------------------------------------

bool ProcessState::has_ended() {
  const Phase phase = phase_.load(std::memory_order_acquire);
  return phase == Phase::Alive ? look_for_end() : phase == Phase::Ended;
}

// What is remembered of the descriptor says "may be readable" until somebody has looked and found otherwise.
bool ProcessState::look_for_end() {
  if (phase_.load(std::memory_order_acquire) == Phase::Ended) return true;
  if (!end_->enter()) return false;
  const std::uint64_t seen = end_->readiness(Descriptor::Direction::Read);
  const bool ended = is_readable(end_->fd());
  if (!ended) end_->drained(seen, Descriptor::Direction::Read);
  end_->leave();
  if (ended) bury();
  return ended;
}

bool ProcessState::is_alive() {
  require_open("is_alive");
  if (kind_ == Kind::Current) return true;
  const Phase phase = phase_.load(std::memory_order_acquire);
  if (phase == Phase::New || phase == Phase::Starting) return false;
  require_started("is_alive");
  return !has_ended();
}

std::optional<int> ProcessState::exitcode() {
  require_open("exitcode");
  if (kind_ == Kind::Child && is_mine()) (void)has_ended();
  const std::lock_guard guard{Processes::all().lock};
  return exit_code_;
}

bool ProcessState::join_until(Deadline deadline) {
  require_joinable();
  const std::string label = name();  // for reports: it outlives the wait
  for (;;) {
    if (look_for_end()) return true;
    if (!end_->enter()) throw InvalidStateError{"join: " + quoted_name() + " was closed meanwhile"};
    const int result = end_->wait(Descriptor::Direction::Read, deadline,
                                  {.kind = WaitKind::Process, .object = this, .label = Label{label.c_str(), {}},
                                   .holders = &nobody_here, .outside = true});
    end_->leave();
    if (result == -ETIMEDOUT) return has_ended();
    if (result == -ECANCELED) throw_interruption();
    if (result < 0 && result != -EBADF) throw OSError{-result, "wait for the end of", quoted_name()};
  }
}

// Whoever comes second finds it done.
void ProcessState::bury() {
  const std::lock_guard only_one{burying_};
  if (phase_.load(std::memory_order_acquire) == Phase::Ended) return;
  std::optional<int> code;
  if (kind_ == Kind::Child) code = take_exit_code();
  std::unique_ptr<Lifeline> lifeline;
  Processes& processes = Processes::all();
  const std::shared_ptr<ProcessState> self = shared_from_this();  // the list's share may be the last one
  const std::lock_guard guard{processes.lock};
  exit_code_ = code;
  phase_.store(Phase::Ended, std::memory_order_release);
  lifeline.swap(lifeline_);
  processes.strike(*this);
}

// Nothing: whoever was to tell it cannot.
std::optional<int> ProcessState::ask_for_exit_code() noexcept {
  if (server_ == 0) return port::take_exit_code(end_->fd());
  if (!self_buried_) return ForkServer::instance().take_exit_code(pid_.load(std::memory_order_relaxed), server_);
  // Its end is told of before its burial, by some microseconds.
  port::await_burial(end_->fd());
  return port::exit_code_of_stranger(end_->fd());
}

int ProcessState::take_exit_code() noexcept {
  if (const std::optional<int> code = ask_for_exit_code()) return *code;
  // The fork server is gone, and the system's first process has taken its place, or SIGCHLD is ignored here: as soon as somebody has
  // buried it the kernel can tell. Or it is told for certain, but late: it is our own and has ended while it was traced, so that it is
  // ours when the debugger lets go of it; or its end gets no processor for what follows the news of it, as the machine is busy.
  const Shield shield;
  const bool certain = self_buried_ || (server_ == 0 && port::is_unburied_child(end_->fd()));
  const Deadline patience = Deadline::after(certain ? std::chrono::milliseconds{5'000} : std::chrono::milliseconds{200});
  const int looks = certain ? 500 : 100;  // so many at least: a machine that stood still meanwhile has used up the time, but not these
  for (int i = 0; i < looks || !patience.has_passed(); ++i) {
    if (const auto known = port::exit_code_of_stranger(end_->fd())) return *known;
    if (const auto taken = server_ == 0 ? port::take_exit_code(end_->fd()) : std::nullopt) return *taken;
    sleep_for(std::chrono::milliseconds{i < 100 ? 1 : 10});
  }
  return kUnknownExit;
}

// ---- from outside ------------------------------------------------------------------------------------------------------------

int ProcessState::sentinel() {
  require_started("sentinel");
  return end_->fd();
}

void ProcessState::send_signal(int signal, const char* operation) {
  require_started(operation);
  if (kind_ == Kind::Parent) throw InvalidStateError{std::string{operation} + ": " + quoted_name() + " is the parent of this process"};
  if (has_ended() || !end_->enter()) return;
  const int result = port::pidfd_signal(end_->fd(), signal);
  end_->leave();
  if (result < 0 && result != -ESRCH) throw OSError{-result, operation, quoted_name()};
}

void ProcessState::close() {
  if (kind_ != Kind::Child) throw InvalidStateError{"close: " + quoted_name() + " is no child of this process"};
  const Phase phase = phase_.load(std::memory_order_acquire);
  if (phase == Phase::Starting || (phase == Phase::Alive && is_mine() && !has_ended())) {
    throw InvalidStateError{"close: " + quoted_name() + " is still running; join() or terminate() it first"};
  }
  if (end_) end_->close();
  const std::lock_guard guard{Processes::all().lock};
  closed_ = true;
}

void ProcessState::set_awaited() noexcept {
  const std::lock_guard guard{Processes::all().lock};
  awaited_ = true;
}

void ProcessState::signal_plainly(int signal) noexcept {
  if (!end_->enter()) return;
  port::pidfd_signal(end_->fd(), signal);
  end_->leave();
}

// The thread sleeps, whatever context it runs, as in Threads::wait_for_non_daemons(). Exit codes are left to the system. A handle that another
// thread closes is one of a child that has ended.
void ProcessState::await_plainly(Deadline deadline) noexcept {
  if (!end_->enter()) return;
  pollfd polled{end_->fd(), POLLIN, 0};
  while (port::sys_ppoll(&polled, 1, deadline.is_never() ? -1 : deadline.remaining().count()) <= 0 && !deadline.has_passed()) {
  }
  end_->leave();
}

}  // namespace weft::detail
