#include "port/stack_memory.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace weft::port {
namespace {

constexpr std::size_t kBytes = 64 * 1024;

/// Whether the kernel can read the page, without dying of it.
class Prober {
 public:
  Prober() { EXPECT_EQ(::pipe2(pipe_, O_NONBLOCK | O_CLOEXEC), 0); }
  ~Prober() {
    ::close(pipe_[0]);
    ::close(pipe_[1]);
  }
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  [[nodiscard]] bool can_read(const std::byte* address) const {
    char byte = 0;
    if (::write(pipe_[1], address, 1) == 1) return ::read(pipe_[0], &byte, 1) == 1;
    EXPECT_EQ(errno, EFAULT);
    return false;
  }

 private:
  int pipe_[2] = {-1, -1};
};

/// A slab that goes with the test.
struct Mapped {
  StackSlab slab;
  Mapped(std::size_t bytes, std::size_t count) : slab{map_stacks(bytes, count)} { EXPECT_NE(slab.memory, nullptr); }
  ~Mapped() { unmap_stacks(slab); }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;

  [[nodiscard]] std::byte* stack(std::size_t i) const { return slab.memory + i * slab.stack_bytes; }
};

TEST(StackMemory, StacksAreUsableSideBySide) {
  const Mapped mapped{kBytes, 5};
  EXPECT_EQ(mapped.slab.stack_bytes, kBytes);
  EXPECT_EQ(mapped.slab.count, 5u);
  EXPECT_EQ(mapped.slab.guarded, 0u);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(mapped.slab.memory) % page_bytes(), 0u);
  for (std::size_t i = 0; i < 5; ++i) std::memset(mapped.stack(i), static_cast<int>(i + 1), kBytes);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(mapped.stack(i)[0], std::byte(i + 1));
    EXPECT_EQ(mapped.stack(i)[kBytes - 1], std::byte(i + 1));
  }
}

TEST(StackMemory, OnlyTouchedPagesTakeMemory) {
  // Large enough for huge pages, were they allowed.
  const Mapped mapped{4 * 1024 * 1024, 4};
  const std::size_t pages = mapped.slab.stack_bytes * mapped.slab.count / page_bytes();
  std::vector<unsigned char> resident(pages);
  const auto count_resident = [&] {
    EXPECT_EQ(::mincore(mapped.slab.memory, pages * page_bytes(), resident.data()), 0);
    std::size_t count = 0;
    for (const unsigned char page : resident) count += page & 1;
    return count;
  };
  EXPECT_EQ(count_resident(), 0u);
  for (std::size_t i = 0; i < mapped.slab.count; ++i) mapped.stack(i + 1)[-1] = std::byte{1};
  EXPECT_EQ(count_resident(), mapped.slab.count);
}

TEST(StackMemory, IsRefusedWhereThereIsNoRoom) {
  EXPECT_EQ(map_stacks(std::size_t{1} << 50, 1).memory, nullptr);
}

TEST(StackMemory, GuardsAreTheLowestPagesInOrder) {
  const Prober prober;
  Mapped mapped{kBytes, 8};
  guard_stacks(mapped.slab, 3);
  ASSERT_EQ(unguarded_stacks(), 0u);
  EXPECT_EQ(mapped.slab.guarded, 3u);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(prober.can_read(mapped.stack(i)), i >= 3) << i;
    EXPECT_EQ(prober.can_read(mapped.stack(i) + page_bytes() - 1), i >= 3) << i;
    EXPECT_TRUE(prober.can_read(mapped.stack(i) + page_bytes())) << i;
    EXPECT_TRUE(prober.can_read(mapped.stack(i + 1) - 1)) << i;
  }
}

TEST(StackMemory, GuardingGoesOnWhereItEnded) {
  const Prober prober;
  Mapped mapped{kBytes, 8};
  guard_stacks(mapped.slab, 5);
  guard_stacks(mapped.slab, 2);  // done before
  EXPECT_EQ(mapped.slab.guarded, 5u);
  guard_stacks(mapped.slab, 100);  // more than there are
  EXPECT_EQ(mapped.slab.guarded, 8u);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_FALSE(prober.can_read(mapped.stack(i))) << i;
}

TEST(StackMemory, DiscardedMemoryReadsAsZeroAndTheGuardStays) {
  const Prober prober;
  Mapped mapped{kBytes, 1};
  guard_stacks(mapped.slab, 1);
  std::memset(mapped.stack(0) + page_bytes(), 0x5A, kBytes - page_bytes());
  discard(mapped.stack(0), kBytes - page_bytes());  // all but the highest page
  for (std::size_t at = page_bytes(); at < kBytes - page_bytes(); ++at) ASSERT_EQ(mapped.stack(0)[at], std::byte{0});
  for (std::size_t at = kBytes - page_bytes(); at < kBytes; ++at) ASSERT_EQ(mapped.stack(0)[at], std::byte{0x5A});
  EXPECT_FALSE(prober.can_read(mapped.stack(0)));
  std::memset(mapped.stack(0) + page_bytes(), 1, kBytes - page_bytes());
}

TEST(StackMemory, TouchingAGuardEndsTheProgram) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto touch = [](std::size_t offset) {
    std::signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler would tell its own story
    Mapped mapped{kBytes, 2};
    guard_stacks(mapped.slab, 2);
    *const_cast<volatile std::byte*>(mapped.stack(1) + offset) = std::byte{1};
    std::_Exit(0);
  };
  EXPECT_EXIT(touch(page_bytes() - 1), testing::KilledBySignal(SIGSEGV), "");
  EXPECT_EXIT(touch(0), testing::KilledBySignal(SIGSEGV), "");
  EXPECT_EXIT(touch(page_bytes()), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace weft::port
