#pragma once

#include <sys/types.h>

#include <mutex>
#include <string>
#include <vector>

#include "process/name_keeper.hpp"

namespace weft::process::detail {

/// The names in /dev/shm that end with this process, which made them. They are removed by exit(), or by the keeper when there was none.
/// A child of fork() made none of them.
///
/// Thread-safety: full.
class OwnNames {
 public:
  [[nodiscard]] static OwnNames& all() noexcept;

  /// What the file of `fd` is called, or is about to be.
  void add(const std::string& name, int fd);
  /// It is not called so after all.
  void take_back(const std::string& name, int fd) noexcept;
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
