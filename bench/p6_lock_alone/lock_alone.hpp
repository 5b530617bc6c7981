// What the C++ programs of this workload share. Arguments: --count N.
#pragma once

#include <algorithm>
#include <mutex>
#include <semaphore>
#include <thread>

#include "common/measure.hpp"

namespace bench {

/// A second thread, which sleeps. Where a program has one thread only, some versions of the C library leave the
/// atomic operations of a mutex out: no program that needs a lock is like that, so none of these may be.
class IdleThread {
 public:
  ~IdleThread() {
    end_.release();
    thread_.join();
  }

 private:
  std::binary_semaphore end_{0};
  std::thread thread_{[this] { end_.acquire(); }};
};

/// Takes a lock that nobody else wants and gives it back, again and again. `rest()` is called after each 10,000 turns:
/// a fiber that never lets others run would be reported.
template <class Mutex, class Rest>
void measure_lock_alone(const Arguments& arguments, Rest rest) {
  constexpr std::uint64_t kTurns = 10'000;
  const std::uint64_t batches = std::max<std::uint64_t>(1, arguments.number("count", 20'000'000) / kTurns);
  Mutex mutex;
  measure(arguments, batches * kTurns, [&] {
    for (std::uint64_t batch = 0; batch < batches; ++batch) {
      for (std::uint64_t i = 0; i < kTurns; ++i) const std::lock_guard guard{mutex};
      rest();
    }
  });
}

template <class Mutex>
void measure_lock_alone(const Arguments& arguments) {
  measure_lock_alone<Mutex>(arguments, [] {});
}

}  // namespace bench
