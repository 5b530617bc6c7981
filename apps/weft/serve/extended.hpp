#pragma once

#include <optional>
#include <string>
#include <vector>

#include "serve/activity.hpp"
#include "serve/context.hpp"
#include "store/batch.hpp"
#include "xfer/wire.hpp"

namespace weft::app {

/// The extended protocol, server side: answers requests one after the other, in their order.
///
/// Small uploads are collected while more input is there already, and stored together (store_batch).
class ExtendedSession {
 public:
  ExtendedSession(ServerContext& context, Wire& wire, Activity& activity, const std::string& peer)
      : context_(context), wire_(wire), activity_(activity), peer_(peer) {}

  /// Serves until the client ends the conversation, the server drains, or something cannot be repaired (throws).
  void run(const Hello& hello);

 private:
  [[nodiscard]] bool welcome(const Hello& hello);
  void serve_requests();
  [[nodiscard]] std::optional<std::string> next_frame();
  void handle(std::string_view frame);

  void handle(const Put& put);
  void handle(const MakeFolder& request);
  void handle(const List& request);
  void handle(const Get& request);
  void handle(const DigestOf& request);
  void handle(const Say& request);

  void receive_eager(const Put& put);
  void store_pending();
  void answer(const SmallResult& result);
  void require(bool allowed, const char* what) const;
  void say_bye(Code code, const std::string& text);

  ServerContext& context_;
  Wire& wire_;
  Activity& activity_;
  const std::string& peer_;
  bool may_read_ = false;
  bool may_write_ = false;
  std::vector<SmallFile> pending_;
  std::size_t pending_bytes_ = 0;
};

}  // namespace weft::app
