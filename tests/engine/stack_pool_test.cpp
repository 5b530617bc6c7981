#include "engine/stack_pool.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>
#include <vector>

#include "support/stress.hpp"

namespace weft::detail {
namespace {

constexpr std::size_t kBytes = 64 * 1024;

std::vector<Stack> acquire(StackPool& pool, std::size_t count) {
  std::vector<Stack> stacks(count);
  std::size_t got = 0;
  while (got < count) {
    const std::size_t more = pool.acquire(stacks.data() + got, std::min<std::size_t>(count - got, 16));
    EXPECT_GE(more, 1u);
    got += more;
  }
  return stacks;
}

void touch(const Stack& stack) { std::memset(stack.top() - 8192, 1, 8192); }

enum class Residence { InMemory, NotInMemory, Unmapped };
Residence residence(const Stack& stack) {
  unsigned char in_memory = 0;
  if (::mincore(stack.top() - 4096, 4096, &in_memory) != 0) return Residence::Unmapped;
  return in_memory & 1 ? Residence::InMemory : Residence::NotInMemory;
}

TEST(StackPool, GivesDistinctUsableStacks) {
  StackPool pool{kBytes};
  EXPECT_EQ(pool.stack_bytes(), kBytes);
  std::vector<Stack> stacks = acquire(pool, 300);
  std::sort(stacks.begin(), stacks.end(), [](const Stack& a, const Stack& b) { return a.bottom < b.bottom; });
  for (std::size_t i = 0; i < stacks.size(); ++i) {
    EXPECT_EQ(stacks[i].bytes, kBytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(stacks[i].bottom) % port::page_bytes(), 0u);
    if (i > 0) {
      ASSERT_GE(stacks[i].bottom, stacks[i - 1].top());
    }
    std::memset(stacks[i].bottom + port::page_bytes(), 0x5A, kBytes - port::page_bytes());  // all but the guard
  }
  pool.release(stacks.data(), stacks.size());
}

TEST(StackPool, GivesRecentlyUsedStacksFirst) {
  StackPool pool{kBytes};
  std::vector<Stack> stacks = acquire(pool, 3);
  pool.release(&stacks[1], 1);
  pool.release(&stacks[2], 1);
  Stack again;
  ASSERT_EQ(pool.acquire(&again, 1), 1u);
  EXPECT_EQ(again.bottom, stacks[2].bottom);
  ASSERT_EQ(pool.acquire(&again, 1), 1u);
  EXPECT_EQ(again.bottom, stacks[1].bottom);
  pool.release(stacks.data(), 3);
}

TEST(StackPool, TrimReturnsTheMemoryOfWhatNobodyNeeds) {
  StackPool pool{kBytes};
  std::vector<Stack> stacks = acquire(pool, 2000);
  for (const Stack& stack : stacks) touch(stack);
  pool.release(stacks.data(), stacks.size());
  for (int second = 0; second < 30; ++second) pool.trim();
  std::size_t kept = 0;
  std::size_t unmapped = 0;
  for (const Stack& stack : stacks) {
    kept += residence(stack) == Residence::InMemory;
    unmapped += residence(stack) == Residence::Unmapped;
  }
  EXPECT_GT(kept, 0u);    // a few stay warm
  EXPECT_LE(kept, 100u);
  EXPECT_GT(unmapped, 0u);  // whole slabs are given back
  // What was given back can be had again.
  std::vector<Stack> again = acquire(pool, 2000);
  for (const Stack& stack : again) touch(stack);
  pool.release(again.data(), again.size());
}

TEST(StackPool, TrimLeavesAloneWhatIsInUse) {
  StackPool pool{kBytes};
  std::vector<Stack> stacks = acquire(pool, 1000);
  for (const Stack& stack : stacks) touch(stack);
  // Every tenth stays in use.
  std::vector<Stack> used;
  std::vector<Stack> unused;
  for (std::size_t i = 0; i < stacks.size(); ++i) (i % 10 == 0 ? used : unused).push_back(stacks[i]);
  pool.release(unused.data(), unused.size());
  for (int second = 0; second < 30; ++second) pool.trim();
  for (const Stack& stack : used) {
    for (const std::byte* at = stack.top() - 8192; at != stack.top(); ++at) ASSERT_EQ(*at, std::byte{1});
  }
  pool.release(used.data(), used.size());
}

TEST(StackPool, TrimKeepsWhatWasNeededSinceTheLast) {
  StackPool pool{kBytes};
  std::vector<Stack> stacks = acquire(pool, 500);
  for (const Stack& stack : stacks) touch(stack);
  pool.release(stacks.data(), stacks.size());
  pool.trim();
  pool.trim();
  // All of them are needed again between two trims: none is surplus then.
  std::vector<Stack> again = acquire(pool, 400);
  for (const Stack& stack : again) touch(stack);
  pool.release(again.data(), again.size());
  std::size_t before = 0;
  for (const Stack& stack : again) before += residence(stack) == Residence::InMemory;
  EXPECT_EQ(before, again.size());
}

TEST(StackPool, LowestPageIsAGuard) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        std::signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler would tell its own story
        StackPool pool{kBytes};
        Stack stack;
        (void)pool.acquire(&stack, 1);
        std::memset(stack.bottom + port::page_bytes(), 1, 1);
        *reinterpret_cast<volatile char*>(stack.bottom + port::page_bytes() - 1) = 1;
        std::exit(0);
      },
      testing::KilledBySignal(SIGSEGV), "");
}

TEST(StackPool, RefusesWhatCannotBeMapped) {
  StackPool pool{std::size_t{1} << 50};
  Stack stack;
  EXPECT_THROW((void)pool.acquire(&stack, 1), std::system_error);
}

TEST(StackPool, ManyThreadsShareOne) {
  StackPool pool{kBytes};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      test::Random random{static_cast<std::uint64_t>(t) + 1};
      std::vector<Stack> mine;
      for (int i = 0; i < test::rounds(2000); ++i) {
        if (random.below(2) == 0 && mine.size() < 100) {
          Stack some[8];
          const std::size_t got = pool.acquire(some, 1 + random.below(8));
          for (std::size_t k = 0; k < got; ++k) {
            // Nobody else has it: the mark is still there a moment later.
            auto* mark = reinterpret_cast<volatile int*>(some[k].top() - sizeof(int));
            *mark = t * 1'000'000 + i;
            std::this_thread::yield();
            ASSERT_EQ(*mark, t * 1'000'000 + i);
            mine.push_back(some[k]);
          }
        } else if (!mine.empty()) {
          const std::size_t count = 1 + random.below(static_cast<std::uint32_t>(mine.size()));
          pool.release(mine.data() + mine.size() - count, count);
          mine.resize(mine.size() - count);
        }
        if (t == 0 && i % 50 == 0) pool.trim();
      }
      pool.release(mine.data(), mine.size());
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace weft::detail
