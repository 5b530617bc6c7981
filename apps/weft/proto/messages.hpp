#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "proto/refusal.hpp"
#include "weft/base/error.hpp"

// The control messages: each is one frame of UTF-8 JSON. The structs are what the program works with; how they look on
// the wire is known to messages.cpp alone. docs/protocol.md is the specification.
namespace weft::app {

inline constexpr int kProtocolVersion = 1;
/// Files travel in chunks of this size, each with its XXH3; only the last of a file is shorter.
inline constexpr std::size_t kChunkBytes = std::size_t{1} << 20;
/// The largest body of the base protocol: its length is a signed 32-bit integer.
inline constexpr std::uint64_t kMaxPlainBytes = 0x7FFFFFFF;
/// The frame that ends a conversation; no JSON.
inline constexpr std::string_view kCloseFrame = "close";

using RequestId = std::uint64_t;

/// What happens when the name of an upload is taken.
enum class Policy : std::uint8_t { Refuse, Overwrite, Rename };

// ---- base protocol, client to server

struct PlainText {};  // one frame of text follows
struct PlainFile {    // a 4-byte length and that many bytes follow
  std::string name;
};

// ---- extended protocol, client to server

struct Hello {
  std::int64_t version = kProtocolVersion;
  std::string client;
  std::string token;
};

/// Offers a file. An eager one (at most one chunk) follows at once, as one chunk; for others the server first says
/// Ready, and the client answers Go.
struct Put {
  RequestId id = 0;
  std::string name;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::uint32_t mode = 0644;
  Policy policy = Policy::Refuse;
  bool checks = true;  // XXH3 a chunk and SHA-256 a file; without, both are left out
  bool eager = false;
  std::string sha256;  // of an eager file with checks; others state it in End
};
struct Go {
  RequestId id = 0;
  std::uint64_t offset = 0;
};
/// After the last chunk.
struct End {
  RequestId id = 0;
  std::string sha256;  // empty without checks
  bool aborted = false;
};
struct MakeFolder {
  RequestId id = 0;
  std::string name;
};
struct List {
  RequestId id = 0;
  std::string name;  // empty: the served folder itself
  bool recursive = false;
};
/// Asks for a file, from `offset` on if its first `offset` bytes have this digest.
struct Get {
  RequestId id = 0;
  std::string name;
  std::uint64_t offset = 0;
  std::string prefix_sha256;
  bool checks = true;
};
struct DigestOf {
  RequestId id = 0;
  std::string name;
};
struct Say {
  RequestId id = 0;
  std::string text;
};
/// Nothing new, but the sender is at work (hashing, syncing). Either end may send it.
struct Wait {
  RequestId id = 0;
};

using PlainRequest = std::variant<PlainText, PlainFile, Hello>;
using Request = std::variant<Put, Go, End, MakeFolder, List, Get, DigestOf, Say, Wait>;

// ---- extended protocol, server to client

struct Welcome {
  std::int64_t version = kProtocolVersion;
  std::string server;
  std::uint64_t chunk_bytes = kChunkBytes;
  bool may_read = false;
  bool may_write = false;
};
/// The server has `offset` bytes, whose digest is given.
struct Ready {
  RequestId id = 0;
  std::uint64_t offset = 0;
  std::string prefix_sha256;
};
struct Done {
  RequestId id = 0;
  std::string name;    // where a Put was stored
  std::string sha256;  // the answer to DigestOf
};
struct Entry {
  std::string name;  // relative to the listed folder
  bool is_folder = false;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;

  friend bool operator==(const Entry&, const Entry&) = default;
};
struct Entries {
  RequestId id = 0;
  std::vector<Entry> entries;
  std::uint64_t hidden = 0;  // entries whose names cannot travel, or that are neither file nor folder
  bool more = false;
};
/// The chunks of a Get follow, then End.
struct FileHead {
  RequestId id = 0;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::uint32_t mode = 0644;
  std::uint64_t offset = 0;
};
struct Failed {
  RequestId id = 0;
  Code code = Code::Io;
  std::string text;
  std::uint64_t size = 0;  // of the file that is in the way, with Code::Exists
};
/// The server ends the conversation, and says why.
struct Bye {
  Code code = Code::Io;
  std::string text;
  RequestId id = 0;  // the request that is the reason; 0: none
};

using Response = std::variant<Welcome, Ready, Done, Entries, FileHead, End, Failed, Bye, Wait>;

/// Not a message of the protocol. The conversation cannot go on.
class BadMessage : public ProtocolError {
 public:
  using ProtocolError::ProtocolError;
};

// Parsing checks shape and types, not whether names are allowed or numbers make sense in context. Unknown keys are
// ignored, so that later versions may add some. Throws: BadMessage.
[[nodiscard]] PlainRequest parse_plain_request(std::string_view frame);
[[nodiscard]] Request parse_request(std::string_view frame);
[[nodiscard]] Response parse_response(std::string_view frame);

[[nodiscard]] std::string to_json(const PlainText&);
[[nodiscard]] std::string to_json(const PlainFile&);
[[nodiscard]] std::string to_json(const Hello&);
[[nodiscard]] std::string to_json(const Put&);
[[nodiscard]] std::string to_json(const Go&);
[[nodiscard]] std::string to_json(const End&);
[[nodiscard]] std::string to_json(const MakeFolder&);
[[nodiscard]] std::string to_json(const List&);
[[nodiscard]] std::string to_json(const Get&);
[[nodiscard]] std::string to_json(const DigestOf&);
[[nodiscard]] std::string to_json(const Say&);
[[nodiscard]] std::string to_json(const Wait&);
[[nodiscard]] std::string to_json(const Welcome&);
[[nodiscard]] std::string to_json(const Ready&);
[[nodiscard]] std::string to_json(const Done&);
[[nodiscard]] std::string to_json(const Entries&);
[[nodiscard]] std::string to_json(const FileHead&);
[[nodiscard]] std::string to_json(const Failed&);
[[nodiscard]] std::string to_json(const Bye&);

}  // namespace weft::app
