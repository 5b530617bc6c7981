#pragma once

#include <string>

#include "serve/activity.hpp"
#include "serve/context.hpp"
#include "xfer/wire.hpp"

namespace weft::app {

/// The base protocol, server side: what follows a message's first frame. It answers nothing, so whatever goes wrong
/// ends the connection, which is the only sign a client can see.
class PlainReceiver {
 public:
  PlainReceiver(ServerContext& context, Wire& wire, Activity& activity, const std::string& peer)
      : context_(context), wire_(wire), activity_(activity), peer_(peer) {}

  /// Returns: false at the end of the stream.
  [[nodiscard]] bool receive_text();
  /// Stores the file under its name, or NAME.1 and so on; an interrupted one is discarded. Throws: what went wrong.
  void receive_file(const PlainFile& request);

 private:
  [[nodiscard]] std::string receive_small(const std::string& name, std::size_t size);
  [[nodiscard]] std::string receive_big(const std::string& name, std::uint64_t size);

  ServerContext& context_;
  Wire& wire_;
  Activity& activity_;
  const std::string& peer_;
};

}  // namespace weft::app
