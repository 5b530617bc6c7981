// The floating-point control words belong to a stack, not to the thread that happens to run it.

#include <gtest/gtest.h>

#include <cfenv>
#include <cstdint>

#include "coroutine.hpp"
#include "port/context_switch.hpp"

namespace weft::port {
namespace {

class FloatingPoint : public testing::Test {
 protected:
  void SetUp() override {
    if (kThreadSanitizer) GTEST_SKIP() << "the engine's tests switch under ThreadSanitizer";
    std::fegetenv(&before_);
  }
  void TearDown() override {
    if (!kThreadSanitizer) std::fesetenv(&before_);
  }

 private:
  std::fenv_t before_{};
};

[[gnu::noinline]] double third() {
  volatile double one = 1;
  volatile double three = 3;
  return one / three;
}

TEST_F(FloatingPoint, RoundingStaysWithItsStack) {
  double up = 0;
  double down = 0;
  Coroutine coroutine{[&](Coroutine& self) {
    std::fesetround(FE_DOWNWARD);
    self.suspend();
    EXPECT_EQ(std::fegetround(), FE_DOWNWARD);
    down = third();
  }};
  std::fesetround(FE_UPWARD);
  coroutine.resume();
  EXPECT_EQ(std::fegetround(), FE_UPWARD);
  up = third();
  coroutine.resume();
  EXPECT_EQ(std::fegetround(), FE_UPWARD);
  EXPECT_GT(up, down);
}

TEST_F(FloatingPoint, NewContextsRoundToNearest) {
  const double nearest = third();
  std::fesetround(FE_UPWARD);
  ASSERT_NE(third(), nearest);
  int mode = -1;
  double inside = 0;
  Coroutine coroutine{[&](Coroutine&) {
    mode = std::fegetround();
    inside = third();  // fegetround() may look at one control word of two
  }};
  coroutine.resume();
  EXPECT_EQ(mode, FE_TONEAREST);
  EXPECT_EQ(inside, nearest);
  EXPECT_EQ(std::fegetround(), FE_UPWARD);
}

TEST_F(FloatingPoint, ResetGivesWhatANewProcessHas) {
  std::fesetround(FE_UPWARD);
  reset_floating_point();
  EXPECT_EQ(std::fegetround(), FE_TONEAREST);
  reset_floating_point();
  EXPECT_EQ(std::fegetround(), FE_TONEAREST);
}

#if defined(__x86_64__)

constexpr std::uint32_t kMxcsrControl = 0xFFC0;
constexpr std::uint32_t kInitialMxcsr = 0x1F80;
constexpr std::uint32_t kFlushToZero = 0x8000;
constexpr std::uint16_t kInitialX87 = 0x037F;
constexpr std::uint16_t kX87DoublePrecision = 0x027F;

std::uint32_t mxcsr_control() {
  std::uint32_t word = 0;
  asm volatile("stmxcsr %0" : "=m"(word));
  return word & kMxcsrControl;
}
void set_mxcsr(std::uint32_t word) { asm volatile("ldmxcsr %0" ::"m"(word)); }
std::uint16_t x87_control() {
  std::uint16_t word = 0;
  asm volatile("fnstcw %0" : "=m"(word));
  return word;
}
void set_x87_control(std::uint16_t word) { asm volatile("fldcw %0" ::"m"(word)); }

// fesetround() changes both words at once; each alone must be noticed as well.
TEST_F(FloatingPoint, EachControlWordTravelsAlone) {
  Coroutine coroutine{[](Coroutine& self) {
    set_x87_control(kX87DoublePrecision);
    self.suspend();
    EXPECT_EQ(x87_control(), kX87DoublePrecision);
    set_x87_control(kInitialX87);
    set_mxcsr(kInitialMxcsr | kFlushToZero);
    self.suspend();
    EXPECT_EQ(mxcsr_control(), kInitialMxcsr | kFlushToZero);
  }};
  for (int i = 0; i < 3; ++i) {
    coroutine.resume();
    EXPECT_EQ(x87_control(), kInitialX87);
    EXPECT_EQ(mxcsr_control(), kInitialMxcsr);
  }
  EXPECT_TRUE(coroutine.done());
}

TEST_F(FloatingPoint, ResetRepairsEachControlWord) {
  set_x87_control(kX87DoublePrecision);
  reset_floating_point();
  EXPECT_EQ(x87_control(), kInitialX87);
  set_mxcsr(kInitialMxcsr | kFlushToZero);
  reset_floating_point();
  EXPECT_EQ(mxcsr_control(), kInitialMxcsr);
}

#endif

}  // namespace
}  // namespace weft::port
