#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/endpoint.hpp"
#include "base/exit_code.hpp"
#include "client/options.hpp"
#include "xfer/wire.hpp"

namespace weft::app {

/// A conversation in the base protocol, for servers that know nothing else. They answer nothing: what was sent is all
/// that is known.
class PlainConnection {
 public:
  /// Throws: what create_connection() throws.
  PlainConnection(const Endpoint& server, const ClientOptions& options);

  void send_text(std::string_view text);
  /// Returns: its size. Throws: Refusal when the file cannot be sent at all (TooLarge, Permission, ...); what Wire
  /// throws.
  std::uint64_t send_file(const std::string& path, const std::string& name);
  /// Says goodbye, and waits a little for the server to have read everything.
  void close();

 private:
  Wire wire_;
};

/// `weft send --plain PATH... HOST:PORT`.
[[nodiscard]] ExitCode plain_send_command(const Endpoint& target, const std::vector<std::string>& paths,
                                          const std::string& as, const ClientOptions& options);

}  // namespace weft::app
