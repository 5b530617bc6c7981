#include "serve/server.hpp"

#include <spdlog/spdlog.h>

#include <mutex>

#include "store/part_file.hpp"
#include "weft/base/error.hpp"
#include "weft/fiber/spawn.hpp"
#include "weft/fiber/this_fiber.hpp"
#include "weft/io/blocking.hpp"
#include "weft/net/server_socket.hpp"

namespace weft::app {

namespace {

using namespace std::chrono_literals;

constexpr auto kLookForOldPartsEvery = 1h;
// After its socket is closed a session only has to unwind, but its last write may hang on a disk.
constexpr auto kUnwindTimeout = 5s;

}  // namespace

Server::Server(const ServeOptions& options, const Root& root, spdlog::logger& log)
    : context_(options, root, log) {}

Address Server::listen() {
  listener_ = create_server(context_.options.host, context_.options.port);
  return listener_.local_address();
}

std::vector<std::string> Server::run() {
  Fiber<void> acceptor = spawn([this] { accept_all(); });
  Fiber<void> cleaner = spawn([this] { remove_old_parts(); });
  stopping_.wait();
  context_.is_draining.store(true);
  listener_.close();
  acceptor.join();
  {
    const std::lock_guard guard(lock_);
    for (const auto& session : sessions_) session->nudge();
  }
  const bool all_ended = wait_for_sessions(Deadline::after(context_.options.drain_timeout));
  std::vector<std::string> cut = all_ended ? std::vector<std::string>() : cut_sessions();
  cutting_.set();
  cleaner.join();
  return cut;
}

void Server::stop() {
  if (stopping_.is_set()) cutting_.set();
  stopping_.set();
  const std::lock_guard guard(lock_);
  session_ended_.notify_all();
}

bool Server::has_sessions() const {
  const std::lock_guard guard(lock_);
  return !sessions_.empty();
}

void Server::accept_all() {
  while (true) {
    try {
      Socket socket = listener_.accept();
      bool is_full = false;
      {
        const std::lock_guard guard(lock_);
        is_full = sessions_.size() >= context_.options.max_connections;
      }
      is_full ? refuse(std::move(socket)) : serve(std::move(socket));
    } catch (const OSError& error) {
      if (stopping_.is_set()) return;
      context_.log.error("{}", error.what());
      sleep_for(100ms);
    }
  }
}

void Server::serve(Socket socket) {
  auto session = std::make_shared<Session>(context_, std::move(socket));
  std::list<std::shared_ptr<Session>>::iterator place;
  {
    const std::lock_guard guard(lock_);
    place = sessions_.insert(sessions_.end(), session);
  }
  spawn([this, session, place] {
    session->run();
    const std::lock_guard guard(lock_);
    sessions_.erase(place);
    session_ended_.notify_all();
  });
}

// Not left waiting in the backlog: the client can tell its user, or try again later.
void Server::refuse(Socket socket) {
  context_.log.warn("{}: refused: {} connections are the limit (--max-connections)",
                    socket.peer_address().to_string(), context_.options.max_connections);
  Wire wire(std::move(socket), context_.options.max_frame_bytes, {});
  wire.try_farewell({Code::Busy, "the server has as many connections as it takes; try again later"});
}

void Server::remove_old_parts() {
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(context_.options.part_age).count();
  do {
    const std::size_t removed = weft::blocking([&] { return remove_stale_parts(context_.root, age); });
    if (removed > 0) context_.log.info("removed {} files of uploads nobody came back for", removed);
  } while (!stopping_.wait_for(kLookForOldPartsEvery));
}

bool Server::wait_for_sessions(Deadline deadline) {
  std::unique_lock guard(lock_);
  return session_ended_.wait_for(guard, deadline.remaining(), [&] {
    return sessions_.empty() || cutting_.is_set();
  }) && sessions_.empty();
}

std::vector<std::string> Server::cut_sessions() {
  std::vector<std::string> cut;
  {
    const std::lock_guard guard(lock_);
    for (const auto& session : sessions_) {
      if (std::string activity = session->activity(); !activity.empty()) cut.push_back(std::move(activity));
      session->cut();
    }
  }
  std::unique_lock guard(lock_);
  (void)session_ended_.wait_for(guard, kUnwindTimeout, [&] { return sessions_.empty(); });
  return cut;
}

}  // namespace weft::app
