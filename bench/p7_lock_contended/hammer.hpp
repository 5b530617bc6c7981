// What the C++ programs of this workload share. Arguments: --threads N, --milliseconds T, --inside S and --outside S
// (steps of common/work.hpp with the lock held, and between two turns).
#pragma once

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include "common/measure.hpp"
#include "common/work.hpp"

namespace bench {

/// Keeps the calling thread, one of `threads`, on a core of its own, if there are enough that it may use. Else the
/// kernel may let two threads take turns on one, most of all beside other work, and then they do not compete.
inline void stay_on_own_core(std::size_t index, std::size_t threads) {
  cpu_set_t usable;
  sched_getaffinity(0, sizeof usable, &usable);
  if (static_cast<std::size_t>(CPU_COUNT(&usable)) < threads) return;
  int core = 0;
  for (std::size_t before = index; !CPU_ISSET(core, &usable) || before-- != 0;) ++core;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(core, &one);
  pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

/// Threads that take one lock, turn after turn, until the time is up. Each counts its own turns, so that a lock which
/// favours some of them shows it.
template <class Mutex>
class Hammer {
 public:
  explicit Hammer(const Arguments& arguments)
      : inside_{arguments.number("inside", 0)},
        outside_{arguments.number("outside", 0)},
        time_{arguments.number("milliseconds", 1000)},
        turns_(arguments.number("threads", 2)) {}

  /// Prints wall and CPU time a turn, and the fewest turns of a thread as a share of the most.
  void run() {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < turns_.size(); ++i) {
      threads.emplace_back([this, i] { turns_[i] = take_turns(i); });
    }
    while (ready_.load() != turns_.size()) std::this_thread::yield();
    const Stopwatch watch;
    started_.store(true);
    started_.notify_all();
    std::this_thread::sleep_for(time_);
    stop_.store(true);
    for (std::thread& thread : threads) thread.join();
    report(watch.wall_ns(), watch.cpu_ns());
  }

 private:
  std::uint64_t take_turns(std::size_t index) {
    stay_on_own_core(index, turns_.size());
    ready_.fetch_add(1);
    started_.wait(false);
    std::uint64_t turns = 0;
    std::uint64_t value = 0;
    while (!stop_.load(std::memory_order_relaxed)) {
      {
        const std::lock_guard guard{guarded_.mutex};
        ++guarded_.turns;
        value = work(value, inside_);
      }
      ++turns;
      value = work(value, outside_);
    }
    return turns;
  }

  void report(double wall, double cpu) const {
    std::uint64_t all = 0;
    for (const std::uint64_t turns : turns_) all += turns;
    if (all != guarded_.turns) std::abort();  // two were inside at once
    const auto [least, most] = std::minmax_element(turns_.begin(), turns_.end());
    const auto per = static_cast<double>(all);
    std::printf("ns_per_op=%.2f cpu_ns_per_op=%.2f fairness=%.3f operations=%llu\n", wall / per, cpu / per,
                static_cast<double>(*least) / static_cast<double>(*most),
                static_cast<unsigned long long>(all));
  }

  const std::uint64_t inside_;
  const std::uint64_t outside_;
  const std::chrono::milliseconds time_;
  std::vector<std::uint64_t> turns_;
  std::atomic<std::uint64_t> ready_{0};
  std::atomic<bool> started_{false};
  alignas(64) std::atomic<bool> stop_{false};
  struct alignas(64) {
    Mutex mutex;
    std::uint64_t turns = 0;
  } guarded_;
};

}  // namespace bench
