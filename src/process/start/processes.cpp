#include "process/start/processes.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/process/authkey.hpp>

#include "engine/fork.hpp"
#include "engine/thread_context.hpp"
#include "port/pidfd.hpp"
#include "port/socket_calls.hpp"
#include "process/start/fork_server.hpp"
#include "process/start/lifeline.hpp"
#include "thread/threads.hpp"

namespace weft {

namespace detail {

namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::chrono::seconds kGraceOfDaemons{2};

constinit ForkHook fork_hook{[]() noexcept { Processes::all().lock_for_fork(); },
                             [](bool in_child) noexcept { Processes::all().unlock_after_fork(in_child); }};

[[maybe_unused]] const bool installed = [] {
  (void)Processes::all();
  add_fork_hook(fork_hook);
  Threads::all().call_next([]() noexcept { Processes::all().end_children(); });
  return true;
}();

std::string random_key() {
  std::string key(kKeyBytes, '\0');
  for (std::size_t filled = 0; filled < key.size();) {
    const ssize_t count = ::getrandom(key.data() + filled, key.size() - filled, 0);
    if (count < 0 && errno != EINTR) throw OSError{errno, "make the authentication key of", "this process"};
    if (count > 0) filled += static_cast<std::size_t>(count);
  }
  return key;
}

}  // namespace

// Never destroyed: threads may still use it while the program ends. Made as the program starts.
Processes& Processes::all() noexcept {
  static Processes& processes = *new Processes;
  return processes;
}

std::shared_ptr<ProcessState> Processes::current() {
  const std::lock_guard guard{lock};
  if (!current_) current_ = std::make_shared<ProcessState>("MainProcess", std::string{}, false);
  return current_;
}

void Processes::copy_name_if_free(std::span<char> to) noexcept {
  const std::unique_lock guard{lock, std::try_to_lock};
  if (!guard) return;
  const std::string_view name = current_ ? std::string_view{current_->plain_name()} : std::string_view{"MainProcess"};
  const std::size_t length = std::min(name.size(), to.size() - 1);
  std::fill(std::copy_n(name.begin(), length, to.begin()), to.end(), '\0');
}

std::shared_ptr<ProcessState> Processes::parent() {
  const std::lock_guard guard{lock};
  return parent_;
}

void Processes::become(std::shared_ptr<ProcessState> self, std::shared_ptr<ProcessState> parent) {
  const std::lock_guard guard{lock};
  current_.swap(self);
  parent_.swap(parent);
  last_number_ = 0;
}

void Processes::inherit(std::string authkey, StartMethod default_method) {
  const std::lock_guard guard{lock};
  authkey_ = std::move(authkey);
  default_method_ = default_method;
}

void Processes::strike(const ProcessState& child) noexcept {
  std::erase_if(children_, [&](const auto& one) { return one.get() == &child; });
}

std::string Processes::next_number() {
  const std::string number = std::to_string(++last_number_);
  return current_ && !current_->number().empty() ? current_->number() + ':' + number : number;
}

std::vector<std::shared_ptr<ProcessState>> Processes::children() {
  const std::lock_guard guard{lock};
  return children_;
}

void Processes::bury_ended(Bury which) {
  for (const auto& child : children()) {
    // Two uses: the list's and this one.
    if (which == Bury::All || child.use_count() == 2) (void)child->has_ended();
  }
}

// ---- what children take over ---------------------------------------------------------------------------------------------

StartMethod Processes::default_method() noexcept {
  const std::lock_guard guard{lock};
  return default_method_;
}

void Processes::set_default_method(StartMethod method, bool force) {
  const std::lock_guard guard{lock};
  if (default_is_set_ && !force) {
    throw InvalidStateError{"set_start_method: it was set before, to " + std::string{process::to_string(default_method_)} +
                            "; set it once, in main(), or with force"};
  }
  default_method_ = method;
  default_is_set_ = true;
}

std::string Processes::authkey() {
  const std::lock_guard guard{lock};
  if (authkey_.empty()) authkey_ = random_key();
  return authkey_;
}

void Processes::set_authkey(std::string key) {
  const std::lock_guard guard{lock};
  authkey_.swap(key);
}

// ---- the end of the program ----------------------------------------------------------------------------------------------

// Daemons are told at once, and have time while the others are waited for. One that does not heed it is killed: by its lifeline it would
// die anyway, but after this process, unseen. A process that others wait for may start more of them meanwhile, by threads of this one.
void Processes::end_children() noexcept {
  ending_.store(true, std::memory_order_relaxed);
  for (const auto& child : children()) {
    if (child->daemon()) child->signal_plainly(SIGTERM);
  }
  const auto find_other = [this] {
    const std::lock_guard guard{lock};
    const auto found = std::find_if(children_.begin(), children_.end(), [](const auto& child) { return child->must_be_awaited(); });
    return found == children_.end() ? nullptr : *found;
  };
  while (const std::shared_ptr<ProcessState> other = find_other()) {
    other->await_plainly(Deadline::never());
    other->set_awaited();
  }
  const auto daemons = children();
  if (daemons.empty()) return;  // as in nearly every child: not even the clock is asked
  const Deadline grace = Deadline::after(kGraceOfDaemons);
  for (const auto& child : daemons) {
    if (!child->daemon()) continue;
    child->await_plainly(grace);
    child->signal_plainly(SIGKILL);
    child->await_plainly(Deadline::never());
  }
}

// ---- fork ----------------------------------------------------------------------------------------------------------------

void Processes::lock_for_fork() noexcept {
  lock.lock();
  Lifeline::lock_for_fork();
}

// The child has no children, and a fork server only when it needs one.
void Processes::unlock_after_fork(bool in_child) noexcept {
  Lifeline::unlock_after_fork(in_child);
  if (in_child) {
    std::move(children_.begin(), children_.end(), std::back_inserter(not_ours_));
    children_.clear();
    ending_.store(false, std::memory_order_relaxed);
    ForkServer::instance().forget();
  }
  lock.unlock();
}

}  // namespace detail

std::string process::authkey() { return weft::detail::Processes::all().authkey(); }
void process::set_authkey(std::string key) { weft::detail::Processes::all().set_authkey(std::move(key)); }

}  // namespace weft
