#pragma once

#include <utility>

namespace weft {

/// Owns a file descriptor and closes it.
///
/// Thread-safety: none of its own.
class OwnedFd {
 public:
  OwnedFd() noexcept = default;
  /// Takes it over; -1 is none.
  explicit OwnedFd(int fd) noexcept : fd_{fd} {}
  OwnedFd(OwnedFd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~OwnedFd() { reset(); }

  /// Another descriptor of the same open file, close-on-exec. Throws OSError: the limit of the process is reached.
  [[nodiscard]] static OwnedFd duplicate(int fd);

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
  /// Gives it up without closing it.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  /// Closes the old one. errno stays what it was.
  void reset(int fd = -1) noexcept;

 private:
  int fd_ = -1;
};

}  // namespace weft
