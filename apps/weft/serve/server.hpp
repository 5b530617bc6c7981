#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "serve/context.hpp"
#include "serve/session.hpp"
#include "weft/net/socket.hpp"
#include "weft/sync/condition.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/lock.hpp"

namespace weft::app {

/// Accepts connections, runs a Session on a fiber for each, and ends them all in an orderly way.
///
/// Thread-safety: run() by one fiber; stop() from any thread.
class Server {
 public:
  Server(const ServeOptions& options, const Root& root, spdlog::logger& log);

  /// Begins to listen. Returns the address in use. Throws: OSError and others of create_server().
  Address listen();
  /// Serves until stop(). Returns: what was cut, one line each; empty after an orderly end.
  [[nodiscard]] std::vector<std::string> run();
  /// First call: no new connections, what is going on may end. Second call: cut everything now.
  void stop();
  /// Whether a session outlived run(): one that hangs in the kernel. The Server cannot be destroyed then.
  [[nodiscard]] bool has_sessions() const;

 private:
  void accept_all();
  void serve(Socket socket);
  void refuse(Socket socket);
  void remove_old_parts();
  [[nodiscard]] bool wait_for_sessions(Deadline deadline);
  [[nodiscard]] std::vector<std::string> cut_sessions();

  ServerContext context_;
  Socket listener_;
  Event stopping_;
  Event cutting_;
  mutable Lock lock_;
  Condition session_ended_;
  std::list<std::shared_ptr<Session>> sessions_;  // guarded by lock_
};

}  // namespace weft::app
