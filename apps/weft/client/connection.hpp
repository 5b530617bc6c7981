#pragma once

#include <string>

#include "base/endpoint.hpp"
#include "client/open_sockets.hpp"
#include "client/options.hpp"
#include "proto/messages.hpp"
#include "weft/base/error.hpp"
#include "xfer/wire.hpp"

namespace weft::app {

/// The server ended the conversation and said why.
class SaidBye : public Error {
 public:
  explicit SaidBye(const Bye& bye)
      : Error("the server says: " + bye.text), code_(bye.code), request_(bye.id) {}
  [[nodiscard]] Code code() const noexcept { return code_; }
  /// The request that was the reason; 0: none.
  [[nodiscard]] RequestId request() const noexcept { return request_; }
  /// Whether coming back later, with the same request, can help.
  [[nodiscard]] bool is_worth_a_retry() const noexcept {
    return code_ == Code::Draining || code_ == Code::Busy || code_ == Code::TooSlow;
  }

 private:
  Code code_;
  RequestId request_;
};

/// The connection stood, and broke.
class ConnectionLost : public Error {
 public:
  using Error::Error;
};

/// A connection to a weft server, after the exchange of greetings.
class ServerConnection {
 public:
  /// `open_sockets`, when given, knows the socket for as long as it exists.
  /// Throws: what create_connection() throws; SaidBye; ConnectionLost.
  ServerConnection(const Endpoint& server, const ClientOptions& options, OpenSockets* open_sockets = nullptr);
  ~ServerConnection();

  [[nodiscard]] Wire& wire() noexcept { return wire_; }
  [[nodiscard]] const Welcome& welcome() const noexcept { return welcome_; }

  /// The next message, signs of life left out. Throws: SaidBye; ConnectionLost, also after a long silence.
  [[nodiscard]] Response recv();
  /// The next message, which must be of this type and for this request. Throws: also Refusal, for Failed.
  template <class Message>
  [[nodiscard]] Message recv_answer(RequestId id);
  /// Ends the conversation in good order.
  void say_close() noexcept;

 private:
  void greet(const Endpoint& server, const std::string& token);

  Duration silence_timeout_;
  Wire wire_;
  OpenSockets* open_sockets_;
  Welcome welcome_;
};

template <class Message>
Message ServerConnection::recv_answer(RequestId id) {
  Response response = recv();
  if (const Failed* failed = std::get_if<Failed>(&response)) throw Refusal(failed->code, failed->text);
  Message* message = std::get_if<Message>(&response);
  if (!message || message->id != id) throw BadMessage("the server answered something else than was asked");
  return std::move(*message);
}

}  // namespace weft::app
