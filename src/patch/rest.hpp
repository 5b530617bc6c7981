#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

namespace weft::patch {

/// What is left of a vector of buffers of which a part has been written: a copy, since the program's must not change.
class Rest {
 public:
  Rest(const iovec* vectors, std::size_t count) noexcept : vectors_{new (std::nothrow) iovec[count]}, count_{count} {
    if (vectors_) std::copy_n(vectors, count, vectors_.get());
  }

  /// False: there was no memory for it.
  explicit operator bool() const noexcept { return vectors_ != nullptr; }
  [[nodiscard]] iovec* begin() noexcept { return vectors_.get() + first_; }
  [[nodiscard]] std::size_t count() const noexcept { return count_ - first_; }

  void skip(std::size_t bytes) noexcept {
    for (; first_ < count_; ++first_) {
      iovec& vector = vectors_[first_];
      const std::size_t here = std::min(bytes, vector.iov_len);
      vector.iov_base = static_cast<char*>(vector.iov_base) + here;
      vector.iov_len -= here;
      bytes -= here;
      if (vector.iov_len > 0) return;
    }
  }

  [[nodiscard]] static std::size_t bytes_of(const iovec* vectors, std::size_t count) noexcept {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < count; ++i) bytes += vectors[i].iov_len;
    return bytes;
  }

 private:
  std::unique_ptr<iovec[]> vectors_;
  std::size_t count_;
  std::size_t first_ = 0;
};

}  // namespace weft::patch
