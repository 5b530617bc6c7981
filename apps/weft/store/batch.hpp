#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "store/publish.hpp"
#include "store/root.hpp"

namespace weft::app {

/// A complete small file, waiting in memory to be stored.
struct SmallFile {
  RequestId id = 0;
  std::string name;
  FileFacts facts;
  Policy policy = Policy::Refuse;
  std::string body;
  // What the sender says about the body; checked before it is stored.
  bool has_checks = false;
  std::uint64_t sum = 0;  // XXH3; of an empty body there is none
  std::string sha256;
};

struct SmallResult {
  RequestId id = 0;
  std::string name;               // where it was stored
  std::optional<Refusal> failed;  // or why not
  std::uint64_t size = 0;         // with Code::Exists, of the file in the way
};

/// Stores small files together; each succeeds or fails by itself, and is visible only when whole.
///
/// Why together: with Fsync::File each file still gets its own fdatasync before it is answered, but write-back of all
/// of them is started first, and so one journal commit serves many (2,048 files of 4 KiB: 4.9 s one by one, 0.7 s so).
/// Blocking: yes, in the kernel; call it through weft::blocking.
[[nodiscard]] std::vector<SmallResult> store_batch(const Root& root, std::span<const SmallFile> files,
                                                   Fsync fsync);

}  // namespace weft::app
