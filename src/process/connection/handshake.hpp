#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "process/connection/digest.hpp"

namespace weft::process::detail {

/// How two ends of a connection show each other that they know the key, as CPython's multiprocessing.connection does,
/// without any input or output of its own: whoever drives it sends what it says and tells it what came. First the
/// listener challenges, then the client.
///
/// Both dialects. Python 3.12 and later name the digest before a challenge and before its answer ("{sha256}..."), and
/// the code covers that name; earlier ones send 20 bare bytes and answer any challenge with HMAC-MD5. A challenge of
/// ours names SHA-256, which either answers in its own way.
class Handshake {
 public:
  enum class Role : bool { Listener, Client };

  static constexpr std::uint64_t kMostBytes = 256;  // in a message
  static constexpr std::size_t kRandomBytes = 40;

  /// `random`: what the challenge is made of; for tests. Throws: std::invalid_argument: the key is empty.
  Handshake(Role role, std::string key, bool require_sha2, std::string random = random_bytes(kRandomBytes));

  /// What to send before anything has come; empty: nothing.
  [[nodiscard]] std::string begin();
  /// A message came. What to send now, also when this is the end; empty: nothing.
  [[nodiscard]] std::string take(std::string_view message);

  [[nodiscard]] bool done() const noexcept { return awaits_ == Awaits::Nothing; }
  /// Why it failed; empty: it has not.
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }

  /// From the kernel. Throws OSError.
  [[nodiscard]] static std::string random_bytes(std::size_t count);

 private:
  enum class Awaits : std::uint8_t { Nothing, Challenge, Answer, Verdict };

  [[nodiscard]] std::string challenge();
  [[nodiscard]] std::string answer(std::string_view message);
  [[nodiscard]] std::string judge(std::string_view message);
  [[nodiscard]] std::string heed(std::string_view message);
  std::string fail(std::string why, std::string_view last_word = {});

  const Role role_;
  const bool require_sha2_;
  const std::string key_;
  const std::string challenge_;
  Awaits awaits_;
  std::string failure_;
};

}  // namespace weft::process::detail
