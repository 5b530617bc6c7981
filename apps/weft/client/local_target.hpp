#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/hashing.hpp"
#include "store/publish.hpp"
#include "store/root.hpp"

namespace weft::app {

/// A big download that is not complete yet: `.NAME.weft-part` beside the file it will be.
///
/// Thread-safety: one user at a time. Blocking: yes, in the kernel. Errors: Refusal.
class LocalPart {
 public:
  /// Opens or begins it.
  LocalPart(const Root& root, const std::string& name);

  [[nodiscard]] int fd() const noexcept { return file_.get(); }
  /// How much there is, in whole chunks.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
  void cut(std::uint64_t size);
  /// Shows the file. Returns: its name.
  [[nodiscard]] std::string publish(Policy policy, const FileFacts& facts);
  void discard() noexcept;

 private:
  const Root* root_;
  std::string name_;
  std::string part_leaf_;
  FileDescriptor folder_;
  FileDescriptor file_;
  std::uint64_t size_ = 0;
};

/// The size of the local file `name`; nothing when there is none. Throws: Refusal when a folder is in the way.
[[nodiscard]] std::optional<std::uint64_t> local_size(const Root& root, const std::string& name);

}  // namespace weft::app
