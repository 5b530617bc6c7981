#include "port/futex.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "interruptions.hpp"
#include "port/processor.hpp"
#include "port/stack_memory.hpp"

namespace weft::port {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 60s;

TEST(Futex, DoesNotSleepWhenTheValueDiffers) {
  const std::atomic<std::uint32_t> word{1};
  EXPECT_EQ(futex_wait(futex_word(word), 2, Deadline::never()), -EAGAIN);
  EXPECT_EQ(futex_wait(futex_word(word), 2, Deadline::already()), -EAGAIN);
}

TEST(Futex, TimesOutAtItsDeadlineAndNotBefore) {
  const std::atomic<std::uint32_t> word{0};
  for (const auto timeout : {0ns, 1ns, 100'000ns, 5'000'000ns}) {
    const Deadline deadline = Deadline::after(timeout);
    EXPECT_EQ(futex_wait(futex_word(word), 0, deadline), -ETIMEDOUT);
    EXPECT_GE(Deadline::now_nanoseconds(), deadline.nanoseconds());
  }
  EXPECT_EQ(futex_wait(futex_word(word), 0, Deadline::from_nanoseconds(1)), -ETIMEDOUT);  // long ago
}

/// Sleeps until the word is no longer 0. False: the wake-up did not come.
bool sleep_while_zero(const std::atomic<std::uint32_t>& word, Deadline deadline) {
  while (word == 0) {
    if (futex_wait(futex_word(word), 0, deadline) == -ETIMEDOUT) return false;
  }
  return true;
}

TEST(Futex, WakesASleeper) {
  for (const Deadline deadline : {Deadline::never(), Deadline::after(kPatience)}) {
    std::atomic<std::uint32_t> word{0};
    bool woken = false;
    std::thread sleeper{[&] { woken = sleep_while_zero(word, deadline); }};
    std::this_thread::yield();
    word = 1;
    futex_wake(futex_word(word));
    sleeper.join();
    EXPECT_TRUE(woken);
  }
}

TEST(Futex, WakesAsManyAsItWasAskedTo) {
  constexpr int kSleepers = 4;
  std::atomic<std::uint32_t> word{0};
  std::atomic<int> woken{0};
  std::vector<std::thread> sleepers;
  for (int i = 0; i < kSleepers; ++i) {
    sleepers.emplace_back([&] { woken += sleep_while_zero(word, Deadline::after(kPatience)); });
  }
  word = 1;
  futex_wake(futex_word(word), INT_MAX);
  for (auto& sleeper : sleepers) sleeper.join();
  EXPECT_EQ(woken, kSleepers);
}

TEST(Futex, LowHalfOfALargeWordIsWaitedOn) {
  std::atomic<std::uint64_t> word{0xAAAA'AAAA'0000'0007};
  EXPECT_EQ(futex_wait(futex_low_half(word), 8, Deadline::never()), -EAGAIN);
  EXPECT_EQ(futex_wait(futex_low_half(word), 7, Deadline::already()), -ETIMEDOUT);
  std::thread waker{[&] {
    word.fetch_add(1);
    futex_wake(futex_low_half(word));
  }};
  const Deadline deadline = Deadline::after(kPatience);
  while (static_cast<std::uint32_t>(word) == 7) {
    if (futex_wait(futex_low_half(word), 7, deadline) == -ETIMEDOUT) break;
  }
  waker.join();
  EXPECT_FALSE(deadline.has_passed());
}

TEST(Futex, ReportsInterruptions) {
  const std::atomic<std::uint32_t> word{0};
  const Interruptions interruptions;
  int result = 0;
  // The first may come before the wait begins.
  do result = futex_wait(futex_word(word), 0, Deadline::after(kPatience));
  while (result == 0);
  EXPECT_EQ(result, -EINTR);
}

TEST(Futex, WakingWhatIsNoLongerMappedDoesNothing) {
  void* page = ::mmap(nullptr, page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  ::munmap(page, page_bytes());
  futex_wake(static_cast<const std::uint32_t*>(page), INT_MAX);
}

TEST(Processor, APauseIsOnlyAPause) {
  std::atomic<bool> flag{false};
  std::thread setter{[&] { flag = true; }};
  while (!flag) processor_pause();
  setter.join();
}

}  // namespace
}  // namespace weft::port
