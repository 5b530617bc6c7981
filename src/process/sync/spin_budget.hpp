#pragma once

#include <algorithm>
#include <cstdint>

#include <weft/base/deadline.hpp>

#include "port/processor.hpp"

namespace weft::detail {

/// How long to look for something before going to sleep: as long as that has been worth it of late. One user at a time.
class SpinBudget {
 public:
  /// `most`: some wake-ups' worth.
  explicit SpinBudget(std::int64_t most_nanoseconds = 50'000) noexcept : most_{most_nanoseconds}, nanoseconds_{most_ / 2} {}

  /// Whether it came.
  template <class Came>
  [[nodiscard]] bool spin(Came came) noexcept {
    const std::int64_t until = Deadline::now_nanoseconds() + nanoseconds_;
    do {
      for (int i = 0; i < 32; ++i) {
        if (came()) {
          nanoseconds_ = std::min(nanoseconds_ * 2, most_);
          return true;
        }
        port::processor_pause();
      }
    } while (Deadline::now_nanoseconds() < until);
    nanoseconds_ = std::max(nanoseconds_ / 2, most_ / 10);
    return false;
  }

  [[nodiscard]] std::int64_t most() const noexcept { return most_; }

 private:
  const std::int64_t most_;
  std::int64_t nanoseconds_;
};

}  // namespace weft::detail
