#include <weft/net/connect.hpp>

#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include <weft/net/resolver.hpp>

#include "net/connect_to_any.hpp"
#include "port/socket_calls.hpp"

namespace weft {

namespace {

// How often several attempts in progress are looked at, see Race::wait_for_news().
constexpr std::chrono::milliseconds kLookEvery{10};

Deadline deadline_of(const ConnectOptions& options) {
  if (options.timeout) return Deadline::earlier(Deadline::after(*options.timeout), options.deadline);
  const std::optional<Duration> by_default = Socket::default_timeout();
  const bool is_limit = by_default && *by_default > Duration::zero();
  return options.deadline.is_never() && is_limit ? Deadline::after(*by_default) : options.deadline;
}

// Connecting waits even where the process has made non-blocking mode the default of new sockets.
Socket finished(Socket socket) {
  socket.set_timeout(Socket::default_timeout());
  return socket;
}

Socket open_for(const Address& address, const ConnectOptions& options) {
  Socket socket = Socket::open(address.family(), SocketType::Stream);
  if (!options.source_address) return socket;
  // With no port asked for, let it be chosen at connect, when the kernel knows the peer: bind would need a port that is
  // free towards everybody (ip(7)).
  if (options.source_address->port() == 0 && !address.is_unix()) {
    socket.set_option(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  }
  socket.bind(*options.source_address);
  return socket;
}

// The order of RFC 8305, section 4: families take turns, beginning with that of the system's first choice.
std::vector<Address> interleaved(const std::vector<Address>& preferred) {
  std::vector<Address> first;
  std::vector<Address> second;
  for (const Address& address : preferred) {
    (address.family() == preferred.front().family() ? first : second).push_back(address);
  }
  std::vector<Address> order;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) order.push_back(first[i]);
    if (i < second.size()) order.push_back(second[i]);
  }
  return order;
}

// Attempts to connect to several addresses, each begun a little after the one before or as soon as all before have failed.
// The sockets are in non-blocking mode meanwhile; leaving the race closes those that did not win.
class Race {
 public:
  Race(std::string target, std::vector<Address> addresses, const ConnectOptions& options, Deadline deadline)
      : target_{std::move(target)}, addresses_{std::move(addresses)}, options_{options}, deadline_{deadline} {}

  Socket run() {
    for (;;) {
      if (may_begin_next()) begin_next();
      if (winner_) return finished(std::move(*winner_));
      if (in_progress_.empty() && next_ == addresses_.size()) fail();
      if (in_progress_.empty()) continue;
      wait_for_news();
      look_at_all();
      if (winner_) return finished(std::move(*winner_));
      if (deadline_.has_passed()) fail_timed_out();
    }
  }

 private:
  struct Attempt {
    Address address;
    Socket socket;
  };

  [[nodiscard]] bool may_begin_next() const {
    return next_ < addresses_.size() && (in_progress_.empty() || next_begin_.has_passed());
  }

  void begin_next() {
    const Address& address = addresses_[next_++];
    try {
      Attempt attempt{address, open_for(address, options_)};
      attempt.socket.set_blocking(false);
      const int result = attempt.socket.connect_ex(address);
      if (result == EINPROGRESS) {
        in_progress_.push_back(std::move(attempt));
        next_begin_ = Deadline::after(options_.attempt_delay);
      } else {
        settle(attempt, result);
      }
    } catch (const OSError& error) {
      note_failure(address, error.errno_value());
    }
  }

  // Several sockets cannot be waited for at once by the means of a single socket, and the means that could are worse: a
  // child fiber for each attempt works on fibers only, and ppoll(2) on threads only, so there would be two of everything
  // here. So the newest attempt is waited for, and where there are older ones, all are looked at every 10 ms. That happens
  // only when the first address has been silent for a quarter of a second; then up to 10 ms more do not matter.
  void wait_for_news() {
    Deadline until = deadline_;
    if (next_ < addresses_.size()) until = Deadline::earlier(until, next_begin_);
    if (in_progress_.size() > 1) until = Deadline::earlier(until, Deadline::after(kLookEvery));
    (void)in_progress_.back().socket.wait_writable(until);
  }

  void look_at_all() {
    std::vector<pollfd> entries;
    for (const Attempt& attempt : in_progress_) entries.push_back({attempt.socket.fd(), POLLOUT, 0});
    if (port::sys_ppoll(entries.data(), entries.size(), 0) <= 0) return;
    // From the last to the first: erasing moves none of those still to come. The oldest success wins.
    for (std::size_t i = entries.size(); i-- > 0;) {
      if (entries[i].revents == 0) continue;
      Attempt& attempt = in_progress_[i];
      const int result = attempt.socket.connect_ex(attempt.address);
      if (result == EALREADY || result == EINPROGRESS) continue;
      settle(attempt, result);
      in_progress_.erase(in_progress_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  void settle(Attempt& attempt, int result) {
    if (result == 0 || result == EISCONN) {
      winner_ = std::move(attempt.socket);
    } else {
      note_failure(attempt.address, result);
    }
  }

  void note_failure(const Address& address, int error) {
    if (last_error_ != 0) failures_ += ": " + std::generic_category().message(last_error_) + ", ";
    failures_ += address.to_string();
    last_error_ = error;
  }

  // "connect to HOST:80: [::1]:80: Connection refused, 127.0.0.1:80: Connection refused": OSError adds the last cause.
  [[noreturn]] void fail() const {
    const bool is_plain = addresses_.size() == 1 && target_ == failures_;
    throw OSError{last_error_, "connect to", is_plain ? target_ : target_ + ": " + failures_};
  }

  [[noreturn]] void fail_timed_out() const {
    std::string text = "connect to " + target_ + ": timed out";
    if (last_error_ != 0) text += " (" + failures_ + ": " + std::generic_category().message(last_error_) + ')';
    for (const Attempt& attempt : in_progress_) {
      if (attempt.address.to_string() != target_) text += ", no answer from " + attempt.address.to_string();
    }
    throw TimeoutError{text};
  }

  const std::string target_;
  const std::vector<Address> addresses_;
  const ConnectOptions& options_;
  const Deadline deadline_;
  std::size_t next_ = 0;               // the first address not yet tried
  Deadline next_begin_ = Deadline::already();  // when its turn comes even if nothing fails
  std::vector<Attempt> in_progress_;   // oldest first
  std::optional<Socket> winner_;
  std::string failures_;               // all that failed, with their causes but for the last, which is
  int last_error_ = 0;
};

std::string target_text(std::string_view host, std::uint16_t port) {
  if (const std::optional<Address> numeric = Address::numeric(host, port)) return numeric->to_string();
  return std::string{host} + ':' + std::to_string(port);
}

}  // namespace

Socket detail::connect_to_any(std::string target, const std::vector<Address>& addresses, const ConnectOptions& options,
                              Deadline deadline) {
  return Race{std::move(target), interleaved(addresses), options, deadline}.run();
}

Socket create_connection(std::string_view host, std::uint16_t port, const ConnectOptions& options) {
  const Deadline deadline = deadline_of(options);
  ResolveOptions resolve{.deadline = deadline};
  if (options.source_address) resolve.family = options.source_address->family();
  const std::vector<Address> addresses = getaddrinfo(host, port, resolve);
  return detail::connect_to_any(target_text(host, port), addresses, options, deadline);
}

Socket create_connection(const Address& address, const ConnectOptions& options) {
  Socket socket = open_for(address, options);
  socket.set_blocking(true);
  socket.connect(address, deadline_of(options));
  return finished(std::move(socket));
}

}  // namespace weft
