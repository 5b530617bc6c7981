#include <weft/io/blocking.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/detail/context.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/sync/lock.hpp>

#include "gate.hpp"
#include "support/eventually.hpp"

namespace weft::test {
namespace {

/// Runs a test's body on a fiber: of the only worker, of one of two, or changing between two at every wake-up.
class Blocking : public testing::TestWithParam<const char*> {
 protected:
  template <class Body>
  static void run(Body body) {
    const std::string workers = GetParam();
    Runtime runtime{{.workers = workers == "OneWorker" ? 1u : 2u, .migrate_always = workers == "Roaming"}};
    runtime.run(body);
  }
};
INSTANTIATE_TEST_SUITE_P(, Blocking, testing::Values("OneWorker", "TwoWorkers", "Roaming"),
                         [](const auto& instance) { return std::string{instance.param}; });

TEST_P(Blocking, ReturnsWhatTheCallableReturns) {
  run([] {
    EXPECT_EQ(blocking([] { return 42; }), 42);
    EXPECT_EQ(blocking([] { return std::string(1000, 'x'); }), std::string(1000, 'x'));
    EXPECT_EQ(*blocking([] { return std::make_unique<int>(7); }), 7);
    int variable = 0;
    static_assert(std::is_void_v<decltype(blocking([&] { variable = 1; }))>);
    blocking([&] { variable = 1; });
    EXPECT_EQ(variable, 1);
    int& reference = blocking([&]() -> int& { return variable; });
    EXPECT_EQ(&reference, &variable);
    const int& constant = blocking([&]() -> const int& { return variable; });
    EXPECT_EQ(&constant, &variable);
    int&& expiring = blocking([&]() -> int&& { return std::move(variable); });
    EXPECT_EQ(&expiring, &variable);
  });
}

TEST_P(Blocking, CallsACallableOfAnyKind) {
  struct OnlyMovable {
    std::unique_ptr<int> value;
    int operator()() { return ++*value; }
  };
  run([] {
    OnlyMovable callable{std::make_unique<int>(1)};
    EXPECT_EQ(blocking(callable), 2);  // in place, not a copy
    EXPECT_EQ(*callable.value, 2);
    EXPECT_EQ(blocking(OnlyMovable{std::make_unique<int>(5)}), 6);
    EXPECT_FALSE(blocking(&in_fiber));
  });
}

TEST_P(Blocking, RunsOnAnotherThreadAndComesBackToTheFiber) {
  run([] {
    const std::uint64_t self = detail::current_context_id();
    const auto worker = std::this_thread::get_id();
    blocking([&] {
      EXPECT_NE(std::this_thread::get_id(), worker);
      EXPECT_FALSE(in_fiber());  // what blocks there blocks the helper
    });
    EXPECT_TRUE(in_fiber());
    EXPECT_EQ(detail::current_context_id(), self);
  });
}

TEST_P(Blocking, OtherFibersGoOnMeanwhile) {
  run([] {
    Gate gate;
    auto opener = spawn([&] {
      for (int i = 0; i < 10; ++i) yield();
      gate.open();
    });
    // Opened by a fiber that shares the worker: it would wait in vain if the worker waited too.
    EXPECT_TRUE(blocking([&] { return gate.wait(); }));
    opener.join();
  });
}

TEST_P(Blocking, ThrowsWhatTheCallableThrows) {
  run([] {
    EXPECT_THROW(blocking([] { throw std::out_of_range{"void"}; }), std::out_of_range);
    EXPECT_THROW(blocking([]() -> int { throw TimeoutError{"value"}; }), TimeoutError);
    EXPECT_THROW(blocking([]() -> int& { throw OSError{EIO, "read"}; }), OSError);
    EXPECT_THROW(blocking([] { throw 42; }), int);
    EXPECT_EQ(blocking([] { return 1; }), 1);  // the helper has survived that
  });
}

TEST_P(Blocking, MayBeCalledWhileAnExceptionIsHandled) {
  run([] {
    try {
      try {
        throw std::runtime_error{"first"};
      } catch (const std::runtime_error&) {
        EXPECT_THROW(blocking([] { throw std::logic_error{"second"}; }), std::logic_error);
        throw;
      }
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "first");
    }
  });
}

TEST_P(Blocking, NestedCallsStayOnTheSameThread) {
  run([] {
    const bool same = blocking([] {
      const auto outer = std::this_thread::get_id();
      return blocking([outer] { return blocking([outer] { return std::this_thread::get_id() == outer; }); });
    });
    EXPECT_TRUE(same);
  });
}

TEST_P(Blocking, CallablesMayUseTheLibrary) {
  run([] {
    Lock lock;
    int guarded = 0;
    lock.lock();
    auto fiber = spawn([&] {
      blocking([&] {
        const std::lock_guard guard{lock};
        ++guarded;
        // A fiber of the default runtime, which in turn blocks.
        guarded += spawn([] { return blocking([] { return 10; }); }).get();
      });
    });
    yield();
    EXPECT_EQ(guarded, 0);
    lock.unlock();
    fiber.join();
    EXPECT_EQ(guarded, 11);
  });
}

TEST_P(Blocking, HundredsAtOnceAllComplete) {
  run([] {
    constexpr int kCalls = 500;
    std::atomic<int> sum{0};
    std::vector<Fiber<int>> fibers;
    for (int i = 0; i < kCalls; ++i) {
      fibers.push_back(spawn([&sum, i] {
        return blocking([&] {
          sum += i;
          return 2 * i;
        });
      }));
    }
    for (int i = 0; i < kCalls; ++i) EXPECT_EQ(fibers[static_cast<std::size_t>(i)].get(), 2 * i);
    EXPECT_EQ(sum, kCalls * (kCalls - 1) / 2);
  });
}

TEST_P(Blocking, SixtyFourRunAtOnceAndTheOthersWaitTheirTurn) {
  run([] {
    constexpr int kMost = 64;
    Gate gate;
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    std::vector<Fiber<bool>> fibers;
    for (int i = 0; i < 2 * kMost; ++i) {
      fibers.push_back(spawn([&] {
        return blocking([&] {
          const int now = ++inside;
          for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
          }
          const bool opened = gate.wait();
          --inside;
          return opened;
        });
      }));
    }
    EXPECT_TRUE(eventually([&] { return inside == kMost; }));
    gate.open();
    for (auto& fiber : fibers) EXPECT_TRUE(fiber.get());
    EXPECT_EQ(most, kMost);
  });
}

}  // namespace
}  // namespace weft::test
