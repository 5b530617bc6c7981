#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include <weft/base/owned_fd.hpp>

namespace weft::process::detail {

/// A new memfd of exactly `size` bytes, all zero, and reserved: what is there can be written without a SIGBUS. `label` is what
/// /proc/PID/maps shows. Nobody can make it smaller, nor, if `fixed`, larger. Throws OSError that says what is lacking, and what to do.
[[nodiscard]] OwnedFd make_memory(const char* label, std::size_t size, bool fixed = true);

/// Asked before a file is made larger, as the kernel would not only refuse it, but send SIGXFSZ.
[[nodiscard]] bool is_within_file_size_limit(std::size_t size) noexcept;
/// The same for memory that grows by `more` bytes to `size`. Throws: OSError. `object`: for the error.
void check_file_size_limit(std::size_t size, std::size_t more, const std::string& object);

/// Gives memory its pages, from `from` up to `to`, which becomes its size if it was smaller. `object`: for the error.
void reserve_memory(int fd, std::size_t from, std::size_t to, const std::string& object);

/// Its size, by fstat.
[[nodiscard]] std::size_t size_of_memory(int fd, const std::string& object);

/// Owns a mapping, shared and writable.
class Mapping {
 public:
  Mapping() noexcept = default;
  Mapping(int fd, std::size_t size, const std::string& object);
  Mapping(Mapping&& other) noexcept : bytes_{std::exchange(other.bytes_, {})} {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping();

  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] explicit operator bool() const noexcept { return bytes_.data() != nullptr; }
  /// After the memory has become larger. May move it.
  void enlarge(std::size_t size, const std::string& object);

 private:
  std::span<std::byte> bytes_;
};

/// Memory that is about to be filled for the first time, and is large: in huge pages, where the machine has them for who asks. Filling
/// it then costs a fraction of what a page fault every 4 KiB does.
void advise_huge_pages(void* begin, std::size_t size) noexcept;

}  // namespace weft::process::detail
