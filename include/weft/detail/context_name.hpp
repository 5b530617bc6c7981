#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace weft::detail {

/// The beginning of a context's name, for reports by other threads while it may be changed: a reader may see parts of two
/// names, but nothing else.
class ContextName {
 public:
  static constexpr std::size_t kMost = 31;

  /// Cut to kMost bytes; empty: unnamed.
  void set(std::string_view name) noexcept {
    char bytes[sizeof words_] = {};
    std::memcpy(bytes, name.data(), name.size() < kMost ? name.size() : kMost);
    for (std::size_t i = 0; i < kWords; ++i) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes + i * sizeof word, sizeof word);
      words_[i].store(word, std::memory_order_relaxed);
    }
  }

  /// To unnamed. Cheaper than set().
  void clear() noexcept { words_[0].store(0, std::memory_order_relaxed); }

  [[nodiscard]] bool empty() const noexcept { return words_[0].load(std::memory_order_relaxed) == 0; }

  /// Writes it, or nothing for an unnamed one, with a zero behind it. No memory is allocated, no lock taken: also for signal handlers.
  void copy_to(char (&bytes)[kMost + 1]) const noexcept {
    bytes[0] = '\0';
    for (std::size_t i = 0; i < kWords && !empty(); ++i) {
      const std::uint64_t word = words_[i].load(std::memory_order_relaxed);
      std::memcpy(bytes + i * sizeof word, &word, sizeof word);
    }
    bytes[kMost] = '\0';
  }
  [[nodiscard]] std::string get() const {
    char bytes[kMost + 1];
    copy_to(bytes);
    return bytes;
  }

 private:
  static constexpr std::size_t kWords = (kMost + 1) / sizeof(std::uint64_t);
  std::atomic<std::uint64_t> words_[kWords] = {};
};

}  // namespace weft::detail
