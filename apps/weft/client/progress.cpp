#include "client/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.hpp"

namespace weft::app {

namespace {

std::string time_left(std::uint64_t done, std::uint64_t known, double rate) {
  if (rate < 1 || done >= known) return "-:-- left";
  const double seconds = std::min(static_cast<double>(known - done) / rate, 359999.0);
  return clock_text(std::chrono::seconds(static_cast<std::int64_t>(std::ceil(seconds)))) + " left";
}

std::string bar(double fraction, unsigned width) {
  const auto filled = static_cast<unsigned>(fraction * width);
  return fmt::format("[{}{}]", std::string(filled, '#'), std::string(width - filled, ' '));
}

}  // namespace

std::string progress_line(std::uint64_t done, std::uint64_t known, double rate, std::uint64_t files_done,
                          std::uint64_t files_known, unsigned columns) {
  const double fraction =
      known == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(known));
  std::string text = fmt::format("{:3.0f}%  {} of {}  {}  {}", std::floor(100 * fraction), bytes_text(done),
                                 bytes_text(known), rate_text(rate), time_left(done, known, rate));
  if (files_known > 1) text += fmt::format("  {} of {} files", files_done, files_known);
  constexpr unsigned kSmallestBar = 10;
  constexpr unsigned kLargestBar = 40;
  if (text.size() + kSmallestBar + 4 <= columns) {
    const unsigned room = columns - static_cast<unsigned>(text.size()) - 4;
    text = fmt::format("{}  {}", bar(fraction, std::min(room, kLargestBar)), text);
  }
  return text.substr(0, columns);
}

double RateMeter::update(std::uint64_t bytes_moved, Clock::time_point now) {
  if (!has_begun_) {
    has_begun_ = true;
    last_ = now;
    last_bytes_ = bytes_moved;
    return 0;
  }
  const double seconds = std::chrono::duration<double>(now - last_).count();
  if (seconds <= 0) return rate_;
  const double current = static_cast<double>(bytes_moved - std::min(bytes_moved, last_bytes_)) / seconds;
  constexpr double kMemorySeconds = 3;
  const double weight = rate_ == 0 ? 1 : 1 - std::exp(-seconds / kMemorySeconds);
  rate_ += weight * (current - rate_);
  last_ = now;
  last_bytes_ = bytes_moved;
  return rate_;
}

}  // namespace weft::app
