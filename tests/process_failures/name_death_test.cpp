// Creators of named shared memory that are killed at any instruction of it leave no name behind.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include <weft/process/shared_memory.hpp>

#include "process/memory/name_keeper.hpp"
#include "process/stepped_child.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

using process::SharedMemory;

class NameDeath : public testing::Test {
 protected:
  void SetUp() override {
    if (under_thread_sanitizer()) GTEST_SKIP() << "ThreadSanitizer's own code would be led through, too";
    if (!process::detail::NameKeeper::is_built()) GTEST_SKIP() << "built without a keeper";
  }

  [[nodiscard]] bool is_there() const { return ::access(("/dev/shm/" + name_).c_str(), F_OK) == 0; }

  /// How many instructions; nothing is left. -1: no tracing here.
  int round(int most) {
    SteppedChild child{[] { SharedMemory::create("", 1).unlink(); },  // which starts the keeper
                       [this] { (void)SharedMemory::create(name_, 1); }};
    if (child.state() == SteppedChild::State::NotAllowed) return -1;
    const int steps = child.step(most);
    EXPECT_TRUE(child.state() != SteppedChild::State::Finished || is_there());
    child.kill();
    EXPECT_TRUE(eventually([this] { return !is_there(); }));
    return steps;
  }

  const std::string name_ = "weft-test-" + std::to_string(::getpid()) + "-stepped";
};

TEST_F(NameDeath, OfACreatorAtAnyInstructionLeavesNoName) {
  const int length = round(SteppedChild::kMostSteps);
  if (length < 0) GTEST_SKIP() << "no tracing here";
  ASSERT_GT(length, 100);
  const int stride = stressing() ? 1 : std::max(1, length / 40);
  for (int steps = 0; steps < length && !HasFailure(); steps += stride) {
    (void)round(steps);
    if (HasFailure()) ADD_FAILURE() << "killed after " << steps << " of " << length << " instructions";
  }
}

}  // namespace
}  // namespace weft::test
