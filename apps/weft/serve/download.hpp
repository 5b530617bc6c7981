#pragma once

#include <string>

#include "base/hashing.hpp"
#include "serve/activity.hpp"
#include "serve/context.hpp"
#include "xfer/wire.hpp"

namespace weft::app {

/// Sends one file: a FileHead, the chunks from the offset agreed on, an End.
class DownloadSender {
 public:
  DownloadSender(ServerContext& context, Wire& wire, Activity& activity, const std::string& peer)
      : context_(context), wire_(wire), activity_(activity), peer_(peer) {}

  /// Throws: Refusal when the download failed and the conversation may go on; anything else when it cannot.
  void send(const Get& get);

 private:
  void send_big(const Get& get, int file, FileHead head);
  [[nodiscard]] std::uint64_t agreed_offset(const Get& get, int file, std::uint64_t size, Sha256& whole);
  void send_checked(int file, const FileHead& head, const std::string& name, Sha256& whole);
  void send_unchecked(int file, const FileHead& head);

  ServerContext& context_;
  Wire& wire_;
  Activity& activity_;
  const std::string& peer_;
};

}  // namespace weft::app
