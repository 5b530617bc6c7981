// What the tests of the HTTP client have in common.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include <weft/fiber/this_fiber.hpp>
#include <weft/http/limits.hpp>
#include <weft/http/request.hpp>

#include "support/eventually.hpp"
#include "support/http_server.hpp"
#include "support/world.hpp"

namespace weft::test {

inline constexpr http::ConnectionLimits kForgetful{.idle_time = std::chrono::milliseconds{20}};

/// Other limits for one test.
class Limits {
 public:
  explicit Limits(const http::ConnectionLimits& limits) { http::set_connection_limits(limits); }
  Limits(const Limits&) = delete;
  Limits& operator=(const Limits&) = delete;
  ~Limits() { http::set_connection_limits(kForgetful); }
};

/// Answers every request alike.
inline HttpServer::Script always(std::string answer) {
  return [answer = std::move(answer)](const HttpRequest&, Socket& peer) {
    peer.send_all(answer);
    return true;
  };
}

/// Sends something and closes the connection.
inline HttpServer::Script once(std::string answer) {
  return [answer = std::move(answer)](const HttpRequest&, Socket& peer) {
    peer.send_all(answer);
    return false;
  };
}

/// Sends something of an answer, or nothing, and then no more.
inline HttpServer::Script and_then_silence(std::string part = "") {
  return [part = std::move(part)](const HttpRequest&, Socket& peer) {
    peer.send_all(part);
    (void)peer.recv(1);  // until the client goes
    return false;
  };
}

/// The message of what is thrown; a failure if that is something else.
template <class E, class F>
std::string message_of(F call) {
  try {
    call();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "threw another exception: " << error.what();
    return {};
  }
  ADD_FAILURE() << "did not throw";
  return {};
}

class HttpTest : public InEveryWorld {};

}  // namespace weft::test
