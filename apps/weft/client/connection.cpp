#include "client/connection.hpp"

#include <fmt/format.h>

#include "base/text.hpp"
#include "weft/net/connect.hpp"

namespace weft::app {

namespace {

// Listings are the longest messages; the server keeps them far shorter.
constexpr std::uint64_t kMaxFrameBytes = 16 << 20;

Socket connect_to(const Endpoint& server, const ClientOptions& options) {
  ConnectOptions connect;
  connect.timeout = options.connect_timeout;
  return create_connection(server.host, server.port, connect);
}

// A server has to be dead, not slow, to be given up.
Pace::Limit pace_limit(const ClientOptions& options) {
  return {0, options.silence_timeout};
}

}  // namespace

ServerConnection::ServerConnection(const Endpoint& server, const ClientOptions& options,
                                   OpenSockets* open_sockets)
    : silence_timeout_(options.silence_timeout),
      wire_(connect_to(server, options), kMaxFrameBytes, pace_limit(options)),
      open_sockets_(open_sockets) {
  if (open_sockets_) open_sockets_->add(wire_.socket());
  try {
    greet(server, options.token);
  } catch (...) {
    if (open_sockets_) open_sockets_->remove(wire_.socket());
    throw;
  }
}

ServerConnection::~ServerConnection() {
  if (open_sockets_) open_sockets_->remove(wire_.socket());
}

void ServerConnection::greet(const Endpoint& server, const std::string& token) {
  Hello hello;
  hello.client = "weft " WEFT_VERSION_STRING;
  hello.token = token;
  wire_.queue(hello);
  wire_.flush();
  Response response;
  try {
    response = recv();
  } catch (const ConnectionLost&) {
    throw ConnectionLost(fmt::format(
        "{} hung up at the greeting; if it speaks the base protocol only, use --plain", server.server()));
  }
  const Welcome* welcome = std::get_if<Welcome>(&response);
  if (!welcome) throw BadMessage("the server did not greet");
  if (welcome->version < 1 || welcome->version > kProtocolVersion) {
    throw BadMessage(fmt::format("the server wants version {} of the protocol, this client speaks up to {}",
                                 welcome->version, kProtocolVersion));
  }
  if (welcome->chunk_bytes != kChunkBytes) {
    throw BadMessage(fmt::format("the server wants chunks of {} bytes, this client knows only {}",
                                 welcome->chunk_bytes, kChunkBytes));
  }
  welcome_ = *welcome;
}

Response ServerConnection::recv() {
  while (true) {
    std::optional<std::string> frame;
    try {
      frame = wire_.recv_frame(Deadline::after(silence_timeout_));
    } catch (const TimeoutError&) {
      throw ConnectionLost(fmt::format("the server said nothing for {}", clock_text(silence_timeout_)));
    } catch (const EndOfStream& end) {
      throw ConnectionLost(end.what());
    } catch (const OSError& error) {
      throw ConnectionLost(error.what());
    }
    if (!frame) throw ConnectionLost("the server hung up");
    Response response = parse_response(*frame);
    if (std::holds_alternative<Wait>(response)) continue;
    if (const Bye* bye = std::get_if<Bye>(&response)) throw SaidBye(*bye);
    return response;
  }
}

void ServerConnection::say_close() noexcept {
  try {
    wire_.queue_frame(kCloseFrame);
    wire_.flush();
    wire_.socket().shutdown(Socket::How::Write);
  } catch (const std::exception&) {
    // It is over either way.
  }
}

}  // namespace weft::app
