#pragma once

#include <curl/curl.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include <sys/epoll.h>

#include <weft/base/deadline.hpp>
#include <weft/http/limits.hpp>

#include "http/exchange.hpp"
#include "http/transfer.hpp"

namespace weft::http {

/// Runs libcurl for everybody: one thread, one multi handle, one epoll instance for all its sockets. Made on first use; ends when the
/// program does. Nobody else calls libcurl, but for reading URLs.
///
/// The thread sleeps in epoll_wait until a socket, libcurl's next timer, or an errand for it; what it does then is a turn. A turn
/// never blocks. fork() waits for the end of a turn, so that the child finds libcurl's process-wide state, and that of the libraries
/// under it, whole; there the parent's driver is forgotten and its sockets are closed.
class Driver final : private SocketKeeper {
 public:
  /// Throws: OSError when a first driver cannot be made; ConnectionError when the program is ending.
  static void begin(std::shared_ptr<Exchange> exchange);
  /// The caller has made room in a stream that was full.
  static void resume(std::shared_ptr<Exchange> exchange);
  /// The caller has left. If this fails for want of memory the exchange goes on to its end, for nobody.
  static void abandon(std::shared_ptr<Exchange> exchange) noexcept;
  static void set_limits(const ConnectionLimits& limits);

  // For the handlers of fork() and exit().
  static void lock_for_fork() noexcept;
  static void unlock_after_fork() noexcept;
  static void forget() noexcept;
  static void stop() noexcept;

 private:
  struct Errand {
    enum class Kind : std::uint8_t { Begin, Resume, Abandon };
    Kind kind;
    std::shared_ptr<Exchange> exchange;
  };
  struct Shared;

  Driver();
  static Shared& shared() noexcept;
  static Driver& running();
  /// False: the program is ending.
  [[nodiscard]] static bool send(Errand errand);
  void open_descriptors();
  void ring() noexcept;

  // All below: the driver's own thread.
  void serve();
  [[nodiscard]] int wait(epoll_event* events, int most) noexcept;
  [[nodiscard]] bool take_turn(const epoll_event* events, int count);
  void run(const Errand& errand);
  void start(const std::shared_ptr<Exchange>& exchange);
  void look_at_socket(int fd, std::uint32_t events);
  void collect_finished();
  void finish(Transfer& transfer, Failure failure);
  void make_multi();
  void close_multi();
  void renew_limits();
  void apply_limits();
  void give_up_everything();
  [[nodiscard]] CURL* take_easy();

  static int on_socket(CURL*, curl_socket_t fd, int what, void* driver, void* known) noexcept;
  static int on_timer(CURLM*, long milliseconds, void* driver) noexcept;
  [[nodiscard]] bool watch(int fd, std::uint32_t events);
  void unwatch(int fd) noexcept;
  [[nodiscard]] int open_socket(int family, int type, int protocol) noexcept override;
  void close_socket(int fd) noexcept override;

  // Fixed after construction.
  int epoll_ = -1;
  int bell_ = -1;  // an eventfd: there is an errand
  std::thread thread_;

  // Guarded by the lock of errands.
  std::vector<Errand> errands_;
  bool limits_changed_ = true;
  bool stopping_ = false;

  // The thread's, in its turns; frozen across a fork.
  CURLM* multi_ = nullptr;  // null: at rest, with no connections
  std::unordered_map<Exchange*, std::unique_ptr<Transfer>> transfers_;
  std::vector<CURL*> spare_;  // easy handles for the next transfers
  std::vector<int> sockets_;  // libcurl's
  std::vector<bool> watched_;  // by number: registered with epoll_
  ConnectionLimits limits_;
  Deadline timer_;  // libcurl's
  Deadline rest_;   // when to close connections that nobody uses; never while a transfer runs

  Driver* forgotten_ = nullptr;  // in a child: the driver of its parent, kept reachable
};

}  // namespace weft::http
