#pragma once

#include <mutex>
#include <set>

#include "weft/net/socket.hpp"
#include "weft/sync/lock.hpp"

namespace weft::app {

/// The sockets in use, so that Ctrl-C can end all waiting at once.
///
/// Thread-safety: all methods, from any thread or fiber.
class OpenSockets {
 public:
  void add(Socket& socket) {
    const std::lock_guard guard(lock_);
    sockets_.insert(&socket);
    if (is_closed_) socket.close();
  }
  /// Before the socket is destroyed.
  void remove(Socket& socket) {
    const std::lock_guard guard(lock_);
    sockets_.erase(&socket);
  }
  void close_all() {
    const std::lock_guard guard(lock_);
    is_closed_ = true;
    for (Socket* socket : sockets_) socket->close();
  }

 private:
  Lock lock_;
  std::set<Socket*> sockets_;  // guarded by lock_
  bool is_closed_ = false;     // guarded by lock_
};

}  // namespace weft::app
