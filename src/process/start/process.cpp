#include <weft/process/process.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <typeinfo>

#include <weft/base/error.hpp>

#include "engine/descriptor.hpp"
#include "process/start/fork_server.hpp"
#include "process/start/process_state.hpp"
#include "process/start/processes.hpp"
#include "process/start/program.hpp"

namespace weft {

using detail::ProcessAccess;
using detail::Processes;
using detail::ProcessState;

// ---- handles -------------------------------------------------------------------------------------------------------------

Process::Process() : state_{std::make_shared<ProcessState>(std::optional<StartMethod>{}, nullptr)} {}
Process::Process(Work, std::optional<StartMethod> method, std::unique_ptr<detail::ProcessWork> work)
    : state_{std::make_shared<ProcessState>(method, std::move(work))} {}
Process::Process(std::shared_ptr<ProcessState> state) noexcept : state_{std::move(state)} {}
Process::~Process() = default;

Process& Process::set_name(std::string name) {
  state_->set_name(std::move(name));
  return *this;
}

Process& Process::set_daemon(bool daemon) {
  state_->set_daemon(daemon);
  return *this;
}

Process& Process::start() {
  state_->start(typeid(*this) == typeid(Process) ? nullptr : this);
  return *this;
}

void Process::run() { state_->call_work(); }

bool Process::join_until(Deadline deadline) { return state_->join_until(deadline); }
std::string Process::name() const { return state_->name(); }
bool Process::daemon() const { return state_->daemon(); }
bool Process::is_alive() const { return state_->is_alive(); }
std::optional<int> Process::exitcode() const { return state_->exitcode(); }
pid_t Process::pid() const { return state_->pid(); }
int Process::sentinel() const { return state_->sentinel(); }
void Process::terminate() { state_->send_signal(SIGTERM, "terminate"); }
void Process::kill() { state_->send_signal(SIGKILL, "kill"); }
void Process::close() { state_->close(); }

// ---- select() --------------------------------------------------------------------------------------------------------------

namespace detail {

ProcessEndWay::ProcessEndWay(std::shared_ptr<ProcessState> state) : state_{std::move(state)} { outside = true; }

bool ProcessEndWay::try_now() {
  state_->require_joinable();
  return state_->look_for_end();
}

bool ProcessEndWay::enlist() noexcept {
  Descriptor& end = state_->end();
  if (!end.enter()) return false;
  if (end.enlist(Descriptor::Direction::Read, entry) != 0) {
    end.leave();
    return false;
  }
  if (!entry.context->is_fiber()) {
    fd = end.fd();
    events = Descriptor::poll_events(Descriptor::Direction::Read);
  }
  return true;
}

void ProcessEndWay::withdraw() noexcept {
  state_->end().withdraw(Descriptor::Direction::Read, entry);
  state_->end().leave();
}

// A thread that polled is still linked.
bool ProcessEndWay::accept(Outcome how) noexcept {
  withdraw();
  return how != kClosed;
}

}  // namespace detail

// ---- all of them -----------------------------------------------------------------------------------------------------------

namespace process {

Process current_process() { return ProcessAccess::handle(Processes::all().current()); }

std::optional<Process> parent_process() {
  auto parent = Processes::all().parent();
  if (!parent) return std::nullopt;
  return ProcessAccess::handle(std::move(parent));
}

std::vector<Process> active_children() {
  Processes::all().bury_ended(Processes::Bury::All);
  std::vector<Process> children;
  for (auto& state : Processes::all().children()) children.push_back(ProcessAccess::handle(std::move(state)));
  return children;
}

unsigned cpu_count() { return static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN))); }

// ---- start methods ---------------------------------------------------------------------------------------------------------

namespace {

struct Named {
  StartMethod method;
  std::string_view name;
};
constexpr std::array<Named, 3> kMethods{
    {{StartMethod::Fork, "fork"}, {StartMethod::Spawn, "spawn"}, {StartMethod::Forkserver, "forkserver"}}};

}  // namespace

std::string_view to_string(StartMethod method) noexcept { return kMethods[static_cast<std::size_t>(method)].name; }

StartMethod start_method_named(std::string_view name) {
  for (const Named& one : kMethods) {
    if (one.name == name) return one.method;
  }
  throw std::invalid_argument{"start method \"" + std::string{name} + "\": there are \"fork\", \"spawn\" and \"forkserver\""};
}

std::vector<StartMethod> get_all_start_methods() { return {StartMethod::Fork, StartMethod::Spawn, StartMethod::Forkserver}; }

StartMethod get_start_method() noexcept { return Processes::all().default_method(); }
void set_start_method(StartMethod method, bool force) { Processes::all().set_default_method(method, force); }

void start_forkserver() {
  weft::detail::require_main_line("forkserver");
  weft::detail::ForkServer::instance().start();
}

}  // namespace process

}  // namespace weft
