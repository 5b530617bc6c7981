#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "proto/refusal.hpp"

namespace weft::app {

/// A local file (or an empty folder) and the name it shall have on the server.
struct LocalFile {
  std::string path;
  std::string name;
  bool is_empty_folder = false;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::uint32_t mode = 0644;
};

struct WalkVisitor {
  /// Returns: false to end the walk.
  std::function<bool(LocalFile)> found;
  std::function<void(const std::string& path, Code code, const std::string& why)> failed;
  /// Pipes, devices, links to folders: left out, as cp does without special options.
  std::function<void(const std::string& path, const std::string& why)> skipped;
};

/// Visits `path`: a file, or a folder and everything beneath it. Names begin with `prefix` and the last part of the
/// path, as with cp. Links to files are followed. Runs on helper threads, calls back on the caller's fiber.
void walk(const std::string& path, const std::string& prefix, const WalkVisitor& visitor);

}  // namespace weft::app
