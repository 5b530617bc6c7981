#include "process/stepped_child.hpp"

#include <unistd.h>

#include <gtest/gtest.h>

#include <weft/base/deadline.hpp>

#include "support/stress.hpp"

namespace weft::test {
namespace {

// So slowly that the kernel's clock ticks between any two instructions, as on a machine with much else to do.
TEST(SteppedChild, ReadsTheClockHoweverSlowlyItIsLed) {
  if (under_thread_sanitizer()) GTEST_SKIP() << "ThreadSanitizer's own code would be led through, too";
  const auto read_clock = [] { (void)Deadline::now_nanoseconds(); };
  int length = 0;
  {
    SteppedChild quick{read_clock, read_clock};
    if (quick.state() == SteppedChild::State::NotAllowed) GTEST_SKIP() << "no tracing here";
    length = quick.step(SteppedChild::kMostSteps);
    ASSERT_EQ(quick.state(), SteppedChild::State::Finished);
  }
  SteppedChild slow{read_clock, read_clock};
  for (int steps = 0; slow.state() == SteppedChild::State::Stepping && steps < length + 100; ++steps) {
    ::usleep(5'000);
    slow.step(1);
  }
  EXPECT_EQ(slow.state(), SteppedChild::State::Finished) << "instructions: " << length;
}

}  // namespace
}  // namespace weft::test
