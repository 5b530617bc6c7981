#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/fd.hpp"
#include "proto/messages.hpp"

// A folder and everything beneath it, reached by names from the network: nothing outside it can be touched.
namespace weft::app {

/// How much is on the disk when an upload is answered.
enum class Fsync : std::uint8_t {
  None,  // nothing is waited for; a power cut may lose files that were answered
  File,  // the file's content (fdatasync), its name (fsync of the folder)
  Full   // also its times and permissions (fsync), and, during long uploads, what came so far
};

/// The folder that is served, or that downloads go to.
///
/// Semantics:     every name is resolved by openat2(2) beneath the root without following any symbolic link, so a
///                planted link, "..", or a race with either cannot lead elsewhere.
/// Thread-safety: all methods, from any thread.
/// Blocking:      they block in the kernel: call them through weft::blocking where disks may be slow.
/// Errors:        Refusal, worded for the peer: with the name, never with the root's own path.
class Root {
 public:
  /// Opens the folder `path`, making it (not its parents) when missing, and its private folder beneath.
  /// Throws: OSError.
  [[nodiscard]] static Root open(const std::string& path, bool with_private_folder = true);

  /// An existing folder; empty is the root.
  [[nodiscard]] FileDescriptor open_folder(std::string_view name) const;
  /// The same, made with its parents where missing. Folders made are on the disk unless `fsync` is None.
  [[nodiscard]] FileDescriptor make_folder(std::string_view name, Fsync fsync) const;
  /// An existing regular file, for reading. A pipe or device is refused, and never waited for.
  [[nodiscard]] FileDescriptor open_file(std::string_view name) const;

  [[nodiscard]] int fd() const noexcept { return root_.get(); }
  /// Where unfinished uploads live; -1 without a private folder.
  [[nodiscard]] int private_fd() const noexcept { return private_.get(); }
  /// Whether files without a name (O_TMPFILE) work here.
  [[nodiscard]] bool has_unnamed_files() const noexcept { return has_unnamed_files_; }
  /// The process's umask when the root was opened.
  [[nodiscard]] std::uint32_t umask() const noexcept { return umask_; }

 private:
  Root() = default;
  [[nodiscard]] int open_beneath(std::string_view name, int flags) const;  // -errno on failure

  // Fixed after construction.
  FileDescriptor root_;
  FileDescriptor private_;
  bool has_unnamed_files_ = false;
  std::uint32_t umask_ = 022;
};

/// Throws the Refusal that names what is wrong with `name`, if anything is.
void check_name(std::string_view name);

}  // namespace weft::app
