#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>

#include <gtest/gtest.h>

#include <weft/fiber/runtime.hpp>
#include <weft/futures/fiber_pool_executor.hpp>
#include <weft/futures/thread_pool_executor.hpp>

namespace weft::test {

// Where the conformance suite runs: which executor, and from what it is used. An executor of n does n things at once.

inline constexpr std::size_t kStackBytes = 1024 * 1024;  // GoogleTest prints from wherever an expectation fails

struct ThreadsFromAThread {
  using Of = ThreadPoolExecutor;
  static constexpr bool kFromFiber = false;
  template <class Body>
  static void run(Body body) {
    body([](unsigned most, std::size_t pending = 0) {
      return std::make_unique<Of>(Of::Config{.max_workers = most, .name = "pool", .max_pending = pending});
    });
  }
};

struct ThreadsFromAFiber {
  using Of = ThreadPoolExecutor;
  template <class Body>
  static void run(Body body) {
    Runtime runtime{{.workers = 2, .stack_bytes = kStackBytes}};
    runtime.run([&] { ThreadsFromAThread::run(body); });
  }
};

template <unsigned Workers, bool Roaming>
struct Fibers {
  using Of = FiberPoolExecutor;
  template <class Body>
  static void run(Body body) {
    Runtime runtime{{.workers = Workers, .stack_bytes = kStackBytes, .migrate_always = Roaming}};
    runtime.run([&] {
      body([](unsigned most, std::size_t pending = 0) {
        return std::make_unique<Of>(Of::Config{.max_fibers = most, .name = "pool", .max_pending = pending});
      });
    });
  }
};

struct FibersFromAThread {
  using Of = FiberPoolExecutor;
  template <class Body>
  static void run(Body body) {
    Runtime runtime{{.workers = 2, .stack_bytes = kStackBytes}};
    body([&](unsigned most, std::size_t pending = 0) {
      return std::make_unique<Of>(
          Of::Config{.max_fibers = most, .name = "pool", .max_pending = pending, .runtime = &runtime});
    });
  }
};

/// What work may fail with.
struct Unlucky : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline int twice(int number) { return 2 * number; }
inline int fail(const char* why) { throw Unlucky{why}; }

using ExecutorKinds =
    testing::Types<ThreadsFromAThread, ThreadsFromAFiber, Fibers<1, false>, Fibers<2, false>, Fibers<4, false>, Fibers<2, true>,
                   FibersFromAThread>;

}  // namespace weft::test
