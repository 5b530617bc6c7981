#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/fd.hpp"
#include "store/root.hpp"

// From a complete file to its name, in one step that readers see whole or not at all.
namespace weft::app {

/// What a finished file gets before it is shown.
struct FileFacts {
  std::int64_t mtime_ns = 0;  // 0: now
  std::uint32_t mode = 0666;  // less the umask
};

/// A file being written that nobody can see. Destroying it unpublished leaves nothing behind.
///
/// Where the file system can (O_TMPFILE), the file has no name at all until it is published, so that not even
/// kill -9 leaves a trace; elsewhere it has a name in the private folder, or, where there is none, a hidden one.
class StagedFile {
 public:
  /// `folder` (kept by the caller) is where it will be published.
  StagedFile(const Root& root, int folder);
  ~StagedFile();
  StagedFile(StagedFile&&) noexcept;
  StagedFile& operator=(StagedFile&&) = delete;

  [[nodiscard]] int fd() const noexcept { return file_.get(); }
  /// Gives the file its name in the folder. Returns the name, which differs from `leaf` only with Policy::Rename.
  /// Throws: Refusal (Exists and IsFolder among others).
  [[nodiscard]] std::string publish(std::string_view leaf, Policy policy);

 private:
  void give_private_name();

  int folder_;
  int private_folder_;
  FileDescriptor file_;
  std::string private_name_;  // in private_folder_; empty: the file has no name
};

/// Sets times and permissions. Throws: Refusal.
void set_facts(int file, const FileFacts& facts, const Root& root, std::string_view name);
/// Waits until the content is on the disk, as far as `fsync` asks. Throws: Refusal.
void sync_file(int file, Fsync fsync, std::string_view name);
/// The same for the names in a folder.
void sync_folder(int folder, Fsync fsync, std::string_view name);

/// Moves `private_name` of the private folder to `leaf` in `folder`. Returns and throws as StagedFile::publish().
[[nodiscard]] std::string publish_private(const Root& root, const std::string& private_name, int folder,
                                          std::string_view leaf, Policy policy);

/// The same for a file in the folder itself.
[[nodiscard]] std::string publish_beside(int folder, const std::string& part_name, std::string_view leaf,
                                         Policy policy);

/// The size of what has the name `leaf` in `folder`; nothing when the name is free.
[[nodiscard]] std::optional<std::uint64_t> taken_size(int folder, const std::string& leaf);

/// The name is taken; carries the size of the file that has it, so that the client can find out whether it is the same.
class AlreadyThere : public Refusal {
 public:
  AlreadyThere(std::string_view name, std::uint64_t size);
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

 private:
  std::uint64_t size_;
};

/// Writes all of `bytes` at `offset`. Throws: Refusal.
void write_fully(int file, std::string_view bytes, std::uint64_t offset, std::string_view name);

}  // namespace weft::app
