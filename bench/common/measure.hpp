// Times a body the same way in every C++ program here; common/measure/measure.go is its twin for Go.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <vector>

#include "common/arguments.hpp"

namespace bench {

inline std::int64_t clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

/// Wall time and the CPU time of the whole process, from construction on.
class Stopwatch {
 public:
  double wall_ns() const { return static_cast<double>(clock_ns(CLOCK_MONOTONIC) - wall_); }
  double cpu_ns() const { return static_cast<double>(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_); }

 private:
  std::int64_t cpu_ = clock_ns(CLOCK_PROCESS_CPUTIME_ID);  // a system call, which must not count: before the other begins
  std::int64_t wall_ = clock_ns(CLOCK_MONOTONIC);
};

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Runs `body()`, which does `operations` operations, once cold and then `--repeat` (3) times, and prints one line:
/// the median of the warm runs per operation, wall and CPU, and the cold run beside it.
template <class Body>
void measure(const Arguments& arguments, std::uint64_t operations, Body&& body) {
  const auto repeat = std::max<std::uint64_t>(1, arguments.number("repeat", 3));
  const auto per = static_cast<double>(operations);
  const Stopwatch cold;
  body();
  const double cold_wall = cold.wall_ns();
  std::vector<double> wall;
  std::vector<double> cpu;
  for (std::uint64_t i = 0; i < repeat; ++i) {
    const Stopwatch watch;
    body();
    wall.push_back(watch.wall_ns() / per);
    cpu.push_back(watch.cpu_ns() / per);
  }
  std::printf("ns_per_op=%.2f cpu_ns_per_op=%.2f cold_ns_per_op=%.2f operations=%llu\n", median(wall),
              median(cpu), cold_wall / per, static_cast<unsigned long long>(operations));
  std::fflush(stdout);
}

}  // namespace bench
