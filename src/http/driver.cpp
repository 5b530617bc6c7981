#include "http/driver.hpp"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <new>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/http/errors.hpp>

#include "engine/fork.hpp"
#include "engine/immortal.hpp"
#include "engine/thread_context.hpp"
#include "port/signals.hpp"

namespace weft::http {

namespace {

constexpr int kBatch = 64;
constexpr std::size_t kMostSpare = 64;

// As the program starts, as for the engine's own.
detail::ForkHook fork_hook{.before = &Driver::lock_for_fork, .after = [](bool in_child) noexcept {
                             if (in_child) Driver::forget();
                             Driver::unlock_after_fork();
                           }};
[[maybe_unused]] const bool fork_is_prepared = (detail::add_fork_hook(fork_hook), true);

}  // namespace

/// Locks in their order. Neither is held while somebody waits, nor by who calls into the engine from outside of a turn.
struct Driver::Shared {
  std::mutex turn;                      // a turn of the driver; making one
  std::mutex lock;                      // its errands
  std::atomic<Driver*> driver{nullptr};  // written under turn
  Driver* forgotten = nullptr;          // in a child; guarded by turn
  bool stops_at_exit = false;           // guarded by turn
  ConnectionLimits limits;              // guarded by lock
};

Driver::Shared& Driver::shared() noexcept {
  static constinit detail::Immortal<Shared> instance;
  return instance.value;
}

void set_connection_limits(const ConnectionLimits& limits) { Driver::set_limits(limits); }

// ---- from anywhere ---------------------------------------------------------------------------------------------------

Driver& Driver::running() {
  Shared& all = shared();
  if (Driver* driver = all.driver.load(std::memory_order_acquire)) return *driver;
  const std::lock_guard turn{all.turn};
  if (Driver* driver = all.driver.load(std::memory_order_relaxed)) return *driver;
  // Under the lock that fork() takes: a child must not find it half done.
  if (const CURLcode code = ::curl_global_init(CURL_GLOBAL_DEFAULT); code != CURLE_OK) {
    throw Error{std::string{"start libcurl: "} + ::curl_easy_strerror(code)};
  }
  auto* driver = new Driver;
  all.driver.store(driver, std::memory_order_release);
  // After libcurl has started OpenSSL, and so before that one's own clean-up, which would pull the carpet from under us.
  if (!std::exchange(all.stops_at_exit, true)) std::atexit([] { stop(); });
  return *driver;
}

Driver::Driver() {
  spare_.reserve(kMostSpare);
  open_descriptors();
  try {
    const port::SignalsBlocked blocked;  // signals of the program are not for this thread, nor for those that libcurl makes
    thread_ = std::thread{[this] { serve(); }};
  } catch (...) {
    ::close(epoll_);
    ::close(bell_);
    throw;
  }
  ::pthread_setname_np(thread_.native_handle(), "weft-http");
}

void Driver::open_descriptors() {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) throw OSError{errno, "create an epoll instance"};
  bell_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;  // never read: each write is a new edge
  event.data.fd = bell_;
  if (bell_ >= 0 && ::epoll_ctl(epoll_, EPOLL_CTL_ADD, bell_, &event) == 0) return;
  const int error = errno;
  if (bell_ >= 0) ::close(bell_);
  ::close(epoll_);
  throw OSError{error, "create the event that wakes the HTTP driver"};
}

// Only the first errand since the last turn rings: whoever finds others before his own knows that it has, or will.
bool Driver::send(Errand errand) {
  Driver& driver = running();
  bool is_first = false;
  {
    const std::lock_guard guard{shared().lock};
    if (driver.stopping_) return false;
    is_first = driver.errands_.empty();
    driver.errands_.push_back(std::move(errand));
  }
  if (is_first) driver.ring();
  return true;
}

void Driver::ring() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(bell_, &one, sizeof one);
}

void Driver::begin(std::shared_ptr<Exchange> exchange) {
  const Question& question = exchange->question;
  if (send({Errand::Kind::Begin, exchange})) return;
  throw ConnectionError{question.name(), question.shown_url, "the program is ending"};
}

void Driver::resume(std::shared_ptr<Exchange> exchange) {
  // Else the exchange is ended by the driver's end.
  (void)send({Errand::Kind::Resume, std::move(exchange)});
}

void Driver::abandon(std::shared_ptr<Exchange> exchange) noexcept {
  exchange->abandon();
  if (!exchange->belongs_here()) return;
  try {
    (void)send({Errand::Kind::Abandon, std::move(exchange)});
  } catch (...) {
    // It goes on to its end.
  }
}

void Driver::set_limits(const ConnectionLimits& limits) {
  Shared& all = shared();
  Driver* driver = nullptr;
  {
    const std::lock_guard guard{all.lock};
    all.limits = limits;
    driver = all.driver.load(std::memory_order_acquire);
    if (driver) driver->limits_changed_ = true;
  }
  if (driver) driver->ring();
}

// At exit. Whoever still waits for an answer then gets a ConnectionError.
void Driver::stop() noexcept {
  Shared& all = shared();
  Driver* driver = all.driver.load(std::memory_order_acquire);
  if (!driver) return;
  {
    const std::lock_guard guard{all.lock};
    if (std::exchange(driver->stopping_, true)) return;
  }
  driver->ring();
  driver->thread_.join();
}

void Driver::lock_for_fork() noexcept {
  shared().turn.lock();
  shared().lock.lock();
}

void Driver::unlock_after_fork() noexcept {
  shared().lock.unlock();
  shared().turn.unlock();
}

// In the child: its parent's connections are not for it to end, but its copies of their descriptors would keep them open.
void Driver::forget() noexcept {
  Shared& all = shared();
  Driver* driver = all.driver.load(std::memory_order_relaxed);
  if (!driver) return;
  for (const int fd : driver->sockets_) ::close(fd);
  ::close(driver->epoll_);
  ::close(driver->bell_);
  driver->forgotten_ = std::exchange(all.forgotten, driver);
  all.driver.store(nullptr, std::memory_order_relaxed);
}

// ---- the thread ------------------------------------------------------------------------------------------------------

void Driver::serve() {
  detail::mark_engine_thread();
  for (;;) {
    epoll_event events[kBatch];
    const int count = wait(events, kBatch);
    const std::lock_guard turn{shared().turn};
    if (!take_turn(events, count)) return;
  }
}

int Driver::wait(epoll_event* events, int most) noexcept {
  const Deadline deadline = Deadline::earlier(timer_, rest_);
  int milliseconds = -1;
  if (!deadline.is_never()) {
    constexpr std::int64_t kLongest = std::numeric_limits<int>::max();
    milliseconds = static_cast<int>(std::min((deadline.remaining().count() + 999'999) / 1'000'000, kLongest));
  }
  return std::max(::epoll_wait(epoll_, events, most, milliseconds), 0);
}

// False: it was the last.
bool Driver::take_turn(const epoll_event* events, int count) {
  std::vector<Errand> errands;
  bool is_last = false;
  bool has_limits = false;
  {
    Shared& all = shared();
    const std::lock_guard guard{all.lock};
    errands.swap(errands_);
    is_last = stopping_;
    has_limits = std::exchange(limits_changed_, false);
    if (has_limits) limits_ = all.limits;
  }
  if (has_limits) renew_limits();
  for (const Errand& errand : errands) run(errand);
  if (is_last) {
    give_up_everything();
    return false;
  }
  for (int i = 0; i < count; ++i) look_at_socket(events[i].data.fd, events[i].events);
  int running = 0;
  if (timer_.has_passed()) {
    timer_ = Deadline::never();
    ::curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
  }
  collect_finished();
  if (rest_.has_passed()) close_multi();
  return true;
}

void Driver::run(const Errand& errand) {
  if (errand.kind == Errand::Kind::Begin) {
    start(errand.exchange);
    return;
  }
  const auto found = transfers_.find(errand.exchange.get());
  if (found == transfers_.end()) return;  // it has ended meanwhile
  Transfer& transfer = *found->second;
  if (errand.kind == Errand::Kind::Abandon) {
    finish(transfer, {Failure::Kind::Broken, "nobody waits for it"});
  } else if (const CURLcode code = ::curl_easy_pause(transfer.easy(), CURLPAUSE_CONT); code != CURLE_OK) {
    finish(transfer, transfer.failure_of(code));
  }
}

void Driver::start(const std::shared_ptr<Exchange>& exchange) {
  if (exchange->is_abandoned()) return;
  CURL* easy = nullptr;
  try {
    make_multi();
    easy = take_easy();
    auto transfer = std::make_unique<Transfer>(exchange, easy, static_cast<SocketKeeper&>(*this));
    Transfer& begun = *(transfers_[exchange.get()] = std::move(transfer));
    rest_ = Deadline::never();
    const CURLMcode code = ::curl_multi_add_handle(multi_, easy);
    if (code != CURLM_OK) finish(begun, {Failure::Kind::Broken, ::curl_multi_strerror(code)});
  } catch (const std::bad_alloc&) {
    transfers_.erase(exchange.get());
    ::curl_easy_cleanup(easy);
    exchange->end({Failure::Kind::Broken, "out of memory"});
  }
}

CURL* Driver::take_easy() {
  if (!spare_.empty()) {
    CURL* easy = spare_.back();
    spare_.pop_back();
    return easy;
  }
  CURL* easy = ::curl_easy_init();
  if (!easy) throw std::bad_alloc{};
  return easy;
}

void Driver::look_at_socket(int fd, std::uint32_t events) {
  if (fd == bell_ || !multi_) return;
  // Errors are found by reading and writing, which tell more of them.
  int seen = 0;
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) seen |= CURL_CSELECT_IN;
  if (events & (EPOLLOUT | EPOLLERR)) seen |= CURL_CSELECT_OUT;
  int running = 0;
  ::curl_multi_socket_action(multi_, fd, seen, &running);
}

void Driver::collect_finished() {
  if (!multi_) return;
  int left = 0;
  while (const CURLMsg* message = ::curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;  // gone with the handle
    Transfer* transfer = nullptr;
    ::curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    finish(*transfer, transfer->failure_of(code));
  }
}

void Driver::finish(Transfer& transfer, Failure failure) {
  ::curl_multi_remove_handle(multi_, transfer.easy());
  auto node = transfers_.extract(&transfer.exchange());
  const std::shared_ptr<Exchange> exchange = transfer.share();
  CURL* easy = transfer.easy();
  node.mapped().reset();
  if (spare_.size() < kMostSpare) {
    spare_.push_back(easy);
  } else {
    ::curl_easy_cleanup(easy);
  }
  if (transfers_.empty()) rest_ = Deadline::after(limits_.idle_time);
  exchange->end(std::move(failure));
}

void Driver::make_multi() {
  if (multi_) return;
  multi_ = ::curl_multi_init();
  if (!multi_) throw std::bad_alloc{};
  ::curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Driver::on_socket);
  ::curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  ::curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Driver::on_timer);
  ::curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  apply_limits();
}

// libcurl opens a connection for each idle one that it closes, so that those from before could never come down to new limits.
void Driver::renew_limits() {
  if (!multi_) return;
  if (transfers_.empty()) {
    close_multi();
  } else {
    apply_limits();
  }
}

void Driver::apply_limits() {
  ::curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, long{limits_.per_host});
  ::curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, long{limits_.total});
  ::curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, long{std::max(limits_.idle, 1u)});
}

// The only way to close connections that libcurl keeps for later. Easy handles belong to no multi handle between transfers.
void Driver::close_multi() {
  ::curl_multi_cleanup(multi_);
  multi_ = nullptr;
  timer_ = rest_ = Deadline::never();
}

void Driver::give_up_everything() {
  while (!transfers_.empty()) {
    finish(*transfers_.begin()->second, {Failure::Kind::Broken, "the program is ending"});
  }
  if (multi_) close_multi();
  for (CURL* easy : spare_) ::curl_easy_cleanup(easy);
  spare_.clear();
  ::close(std::exchange(epoll_, -1));  // forget() will not close it again
}

// ---- called by libcurl -----------------------------------------------------------------------------------------------

int Driver::on_socket(CURL*, curl_socket_t fd, int what, void* driver, void*) noexcept {
  auto& self = *static_cast<Driver*>(driver);
  if (what == CURL_POLL_REMOVE) {
    self.unwatch(fd);
    return 0;
  }
  try {
    return self.watch(fd, (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u)) ? 0 : -1;
  } catch (const std::bad_alloc&) {
    return -1;
  }
}

// Level-triggered: libcurl reads what it likes of what is there.
bool Driver::watch(int fd, std::uint32_t events) {
  const auto number = static_cast<std::size_t>(fd);
  if (number >= watched_.size()) watched_.resize(number + 64);
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  // The sockets through which helper threads tell of a name are made and closed by libcurl itself.
  const bool known = watched_[number];
  watched_[number] = ::epoll_ctl(epoll_, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0 ||
                     ::epoll_ctl(epoll_, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) == 0;
  return watched_[number];
}

// libcurl may speak of a socket that it has closed before; the number may be somebody else's by then.
void Driver::unwatch(int fd) noexcept {
  const auto number = static_cast<std::size_t>(fd);
  if (number >= watched_.size() || !watched_[number]) return;
  watched_[number] = false;
  // libcurl closes the socket pair of its own look-ups before it says so: the number may be somebody else's by now, who is not in
  // this epoll instance, and is not concerned. A direct call: ThreadSanitizer would take it for a use of his descriptor.
  ::syscall(SYS_epoll_ctl, epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

int Driver::on_timer(CURLM*, long milliseconds, void* driver) noexcept {
  auto& self = *static_cast<Driver*>(driver);
  self.timer_ = milliseconds < 0 ? Deadline::never() : Deadline::after(std::chrono::milliseconds{milliseconds});
  return 0;
}

int Driver::open_socket(int family, int type, int protocol) noexcept {
  const int fd = ::socket(family, type | SOCK_CLOEXEC, protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  try {
    sockets_.push_back(fd);
  } catch (const std::bad_alloc&) {
    ::close(fd);
    return CURL_SOCKET_BAD;
  }
  return fd;
}

void Driver::close_socket(int fd) noexcept {
  unwatch(fd);  // a child of fork() may have a copy, which would keep it in the epoll instance
  std::erase(sockets_, fd);
  ::close(fd);
}

}  // namespace weft::http
