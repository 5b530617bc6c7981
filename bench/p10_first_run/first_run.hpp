// What the C++ programs of this workload share. Arguments: --rounds N, --pause-us T.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "common/measure.hpp"

namespace bench {

/// What is handed to the pool: it notes when it began.
class FirstRunTask {
 public:
  explicit FirstRunTask(std::atomic<std::int64_t>& began) : began_{&began} {}
  void operator()() const { began_->store(clock_ns(CLOCK_MONOTONIC), std::memory_order_release); }

 private:
  std::atomic<std::int64_t>* began_;
};

/// Hands a task to a pool that has been idle for a while, again and again. `hand_over(task)` returns what has to live
/// until the task is done, if anything. Prints the median time from before the call to the task's begin, the 99th
/// percentile, that of the very first round, and CPU time a round.
template <class HandOver>
void measure_first_run(const Arguments& arguments, HandOver hand_over) {
  const std::uint64_t rounds = std::max<std::uint64_t>(1, arguments.number("rounds", 5000));
  // Long enough for the workers to have gone to sleep; this thread sleeps as well, so that it is in nobody's way.
  const std::chrono::microseconds pause{arguments.number("pause-us", 200)};
  std::atomic<std::int64_t> began{0};
  const FirstRunTask task{began};
  std::vector<double> taken;
  taken.reserve(rounds);
  std::this_thread::sleep_for(10 * pause);
  const Stopwatch watch;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    began.store(0, std::memory_order_relaxed);
    const std::int64_t handed_over = clock_ns(CLOCK_MONOTONIC);
    [[maybe_unused]] const auto held = hand_over(task);
    do {
      std::this_thread::sleep_for(pause);
    } while (began.load(std::memory_order_acquire) == 0);
    taken.push_back(static_cast<double>(began.load(std::memory_order_relaxed) - handed_over));
  }
  const double cpu = watch.cpu_ns() / static_cast<double>(rounds);
  const double first = taken.front();
  std::sort(taken.begin(), taken.end());
  std::printf("ns_per_op=%.0f p99_ns=%.0f cold_ns_per_op=%.0f cpu_ns_per_op=%.0f operations=%llu\n",
              taken[rounds / 2], taken[rounds * 99 / 100], first, cpu,
              static_cast<unsigned long long>(rounds));
}

}  // namespace bench
