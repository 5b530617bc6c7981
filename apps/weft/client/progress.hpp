#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "weft/base/deadline.hpp"

namespace weft::app {

/// How far a transfer is; written by many fibers, read by the one that draws the bar.
struct Progress {
  std::atomic<std::uint64_t> bytes_done{0};   // of all files, those that were there already included
  std::atomic<std::uint64_t> bytes_known{0};  // of all files found so far
  std::atomic<std::uint64_t> bytes_moved{0};  // over the network
  std::atomic<std::uint64_t> files_done{0};
  std::atomic<std::uint64_t> files_known{0};
};

/// One line of at most `columns` characters: "  42%  1.7 GiB of 4.0 GiB  310.2 MiB/s  0:07 left  [######      ]  3 of 9".
[[nodiscard]] std::string progress_line(std::uint64_t done, std::uint64_t known, double rate,
                                        std::uint64_t files_done, std::uint64_t files_known,
                                        unsigned columns);

/// Rate over the last few seconds, so that the time left follows what happens now.
class RateMeter {
 public:
  /// Returns: bytes per second.
  double update(std::uint64_t bytes_moved, Clock::time_point now);

 private:
  bool has_begun_ = false;
  Clock::time_point last_;
  std::uint64_t last_bytes_ = 0;
  double rate_ = 0;
};

}  // namespace weft::app
