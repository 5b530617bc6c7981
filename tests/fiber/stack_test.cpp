// Stacks: their sizes, and how many there can be.

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/sync/event.hpp>

#include "support/eventually.hpp"
#include "support/leaks.hpp"
#include "support/stress.hpp"
#include "support/use_stack.hpp"

namespace weft::test {
namespace {

class Stacks : public LeakFree {};

TEST_F(Stacks, AreAsLargeAsTheSpawnAskedFor) {
  for (const unsigned workers : {1u, 2u}) {
    Runtime runtime{{.workers = workers, .name = "test"}};
    runtime.run([] {
      // Sanitizers make frames larger: half of it must do.
      for (const std::size_t bytes : {64u * 1024, 1024u * 1024, 8u * 1024 * 1024, 100'000u}) {
        for (int i = 0; i < 3; ++i) {
          EXPECT_GT(spawn({.stack_bytes = bytes}, [bytes] { return use_stack(bytes / 3); }).get(), 0);
        }
      }
      EXPECT_GT(spawn([] { return use_stack(80'000); }).get(), 0);  // of the default 256 KiB
    });
  }
}

TEST_F(Stacks, AreAsLargeAsTheRuntimeSays) {
  Runtime runtime{{.workers = 1, .stack_bytes = 4 * 1024 * 1024}};
  EXPECT_GT(runtime.run([] { return use_stack(1'500'000); }), 0);
}

TEST_F(Stacks, SmallestStillRunsAFiber) {
  if (under_thread_sanitizer() || under_address_sanitizer()) GTEST_SKIP() << "frames are larger there";
  Runtime runtime{{.workers = 2, .stack_bytes = 1, .name = "test"}};
  EXPECT_EQ(runtime.run([] {
    sleep_for(1us);
    return spawn({.stack_bytes = 1}, [] { return 42; }).get();
  }), 42);
}

TEST_F(Stacks, FibersOfManySizesComeAndGo) {
  Runtime runtime{{.workers = 2, .name = "test"}};
  runtime.run([] {
    for (int round = 0; round < rounds(20); ++round) {
      std::vector<Fiber<int>> fibers;
      for (std::size_t i = 0; i < 100; ++i) {
        fibers.push_back(spawn({.stack_bytes = (1 + i % 7) * 64 * 1024}, [i] {
          if (i % 3 == 0) yield();
          return use_stack(i % 7 * 16 * 1024 + 4096);
        }));
      }
      for (auto& fiber : fibers) EXPECT_GT(fiber.get(), 0);
    }
  });
}

long available_bytes() {
  std::ifstream file{"/proc/meminfo"};
  std::string key;
  long kilobytes = 0;
  std::string unit;
  while (file >> key >> kilobytes >> unit) {
    if (key == "MemAvailable:") return kilobytes * 1024;
  }
  return 0;
}

void park_and_release(int count) {
  Runtime runtime{{.workers = 2, .name = "test"}};
  Event go;
  std::atomic<int> parked{0};
  std::atomic<int> ended{0};
  runtime.run([&] {
    std::vector<Fiber<void>> fibers;
    fibers.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
      fibers.push_back(spawn([&] {
        ++parked;
        go.wait();
        ++ended;
      }));
    }
    EXPECT_TRUE(eventually([&] { return parked == count; }));
    EXPECT_EQ(ended, 0);
    go.set();
    EXPECT_TRUE(join_all(fibers, kPatience));
    EXPECT_EQ(ended, count);
  });
}

// ThreadSanitizer knows a few thousand.
TEST_F(Stacks, TwoThousandFibersParkAndGoOn) { park_and_release(2'000); }

TEST_F(Stacks, HundredThousandFibersParkAndGoOn) {
  if (under_thread_sanitizer() || under_address_sanitizer()) GTEST_SKIP() << "too many for a sanitizer";
  park_and_release(100'000);
}

TEST_F(Stacks, AMillionFibersParkAndGoOn) {
  if (under_thread_sanitizer() || under_address_sanitizer()) GTEST_SKIP() << "too many for a sanitizer";
  if (!stressing()) GTEST_SKIP() << "takes half a minute: with WEFT_STRESS=1";
  if (available_bytes() < 8L * 1024 * 1024 * 1024) GTEST_SKIP() << "needs 8 GiB of memory";
  park_and_release(1'000'000);
}

TEST_F(Stacks, AMillionFibersComeAndGo) {
  const int count = under_thread_sanitizer() || under_address_sanitizer() ? 20'000 : 1'000'000;
  Runtime runtime{{.workers = 2, .name = "test"}};
  std::atomic<int> ran{0};
  runtime.run([&] {
    for (int i = 0; i < count; i += 1000) {
      std::vector<Fiber<void>> fibers;
      for (int k = 0; k < 1000; ++k) fibers.push_back(spawn([&] { ran.fetch_add(1, std::memory_order_relaxed); }));
      join_all(fibers);
    }
  });
  EXPECT_EQ(ran, count);
}

}  // namespace
}  // namespace weft::test
