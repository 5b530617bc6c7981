#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace weft::app {

/// Why a request was refused, in a word that programs can act on. docs/protocol.md explains each.
enum class Code : std::uint8_t {
  Aborted,     // the sender gave the file up
  BadName,     // the name is not allowed, or leads through a symbolic link
  BadRequest,  // no message of the protocol, or one that makes no sense here
  Busy,        // too many connections, or too many open files
  Changed,     // the file changed while it was being read
  Corrupt,     // a checksum does not fit
  Denied,      // the token does not allow this
  Draining,    // the server is stopping
  Exists,      // there is a file of this name already
  Io,          // the disk said no
  IsFolder,    // a file was expected
  NameTooLong,
  NoSpace,
  NotAFile,    // neither file nor folder: a pipe, a device, a socket
  NotAFolder,  // a part of the name before the last is a file
  NotFound,
  Permission,  // the operating system does not let the server
  TakenOver,   // a newer connection goes on with this upload
  TooLarge,
  TooSlow,      // no bytes, or too few, for too long
  Unsupported,  // a version of the protocol that this end does not speak
};

[[nodiscard]] std::string_view code_text(Code code) noexcept;
/// Nothing for a word that is no code.
[[nodiscard]] std::optional<Code> parse_code(std::string_view text) noexcept;

/// One request fails and says why; the connection goes on with the next.
class Refusal : public std::runtime_error {
 public:
  Refusal(Code code, const std::string& text) : std::runtime_error(text), code_(code) {}
  [[nodiscard]] Code code() const noexcept { return code_; }

 private:
  Code code_;
};

/// The Refusal that fits an error of the operating system: "store \"a/b\": No space left on device; ...".
[[nodiscard]] Refusal refusal_of_errno(int errno_value, std::string_view operation, std::string_view name);

}  // namespace weft::app
