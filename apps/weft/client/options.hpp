#pragma once

#include <chrono>
#include <string>

#include "proto/messages.hpp"
#include "weft/base/deadline.hpp"

namespace weft::app {

/// The settings that `weft send`, `get` and `ls` share; docs/send.md and its neighbours describe each.
struct ClientOptions {
  unsigned jobs = 4;  // connections, and so files in flight
  bool checks = true;
  Policy policy = Policy::Refuse;
  std::string token;
  bool json = false;
  bool quiet = false;
  Duration connect_timeout = std::chrono::seconds(10);
  /// How long a lost connection is tried again without any success.
  Duration retry_for = std::chrono::seconds(60);
  /// A server that says nothing for so long is taken for dead. One that is at work says so every few seconds.
  Duration silence_timeout = std::chrono::seconds(60);
};

}  // namespace weft::app
