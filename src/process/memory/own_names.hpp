#pragma once

#include <sys/types.h>

#include <mutex>
#include <string>
#include <vector>

#include "process/memory/name_keeper.hpp"

namespace weft::process::detail {

/// Of an open file in /dev/shm. 0: it cannot be said.
[[nodiscard]] ino_t inode_of(int fd) noexcept;

/// The names in /dev/shm that end with this process, which made them. They are removed by exit(), or by the keeper when there was none.
/// A child of fork() made none of them.
///
/// Thread-safety: full.
class OwnNames {
 public:
  [[nodiscard]] static OwnNames& all() noexcept;

  /// What the file is called, or is about to be.
  void add(const std::string& name, ino_t inode);
  /// It is called so now: another thread may have removed a file of that name, and said so, between add() and that.
  void confirm(const std::string& name, ino_t inode);
  /// It is not called so after all; or no longer, if it still was.
  void take_back(const std::string& name, ino_t inode) noexcept;
  /// Somebody has removed it.
  void remove(const std::string& name) noexcept;
  /// All that still are of the files that had them: not what others made under the name, after somebody had removed it.
  void unlink_all() noexcept;

  void before_fork() noexcept { lock_.lock(); }
  void after_fork(bool in_child) noexcept;

 private:
  struct Name {
    std::string text;
    ino_t inode;
  };

  void add_locked(Name name);
  void tell_keeper(const Name& name) noexcept;
  template <class Is>
  void strike(Is is) noexcept;

  std::mutex lock_;  // never held while a context waits
  std::vector<Name> names_;
  NameKeeper keeper_;
  bool at_exit_ = false;
};

/// As exit() does: for a process that ends without it.
void unlink_own_names() noexcept;

}  // namespace weft::process::detail
