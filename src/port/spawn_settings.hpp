#pragma once

#include <signal.h>
#include <spawn.h>

namespace weft::port {

/// What posix_spawn() is to do to the child: the signals that it blocks, `flags` besides, and then, in their order, the descriptors it gets.
class SpawnSettings {
 public:
  explicit SpawnSettings(const sigset_t& blocked, short flags = 0) noexcept {
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | flags));
    ::posix_spawnattr_setsigmask(&attributes, &blocked);
    ::posix_spawn_file_actions_init(&actions);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }

  /// Not close-on-exec, even if it was that number.
  void give(int fd, int as) noexcept { keep(::posix_spawn_file_actions_adddup2(&actions, fd, as)); }
  void close_from(int fd) noexcept { keep(::posix_spawn_file_actions_addclosefrom_np(&actions, fd)); }
  /// An errno value: there was no memory for some of it.
  [[nodiscard]] int error() const noexcept { return error_; }

  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;

 private:
  void keep(int error) noexcept {
    if (error != 0) error_ = error;
  }

  int error_ = 0;
};

}  // namespace weft::port
