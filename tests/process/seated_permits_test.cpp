// The word of a BoundedSemaphore's permits, by which others know whether somebody sleeps: after each step that leaves nobody awake to see
// to it, it says that a permit is wanted, or there is none who could sleep on it.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <new>

#include "process/sync/seated_permits.hpp"

namespace weft::test {
namespace {

using process::detail::SeatedPermits;

class SeatedPermitsWord : public testing::Test {
 protected:
  SeatedPermitsWord() : permits_{*new (memory_.data()) SeatedPermits} { permits_.make(2); }

  [[nodiscard]] bool is_wanted() const { return permits_.word() == SeatedPermits::kWanted; }

  alignas(64) std::array<std::byte, sizeof(SeatedPermits) + SeatedPermits::bytes_of_seats(2)> memory_{};
  SeatedPermits& permits_;
};

TEST_F(SeatedPermitsWord, SaysSoOnceSomebodyWantsOneOfNone) {
  EXPECT_TRUE(permits_.take(false));
  EXPECT_TRUE(permits_.take(false));
  EXPECT_FALSE(permits_.take(false));
  EXPECT_FALSE(is_wanted()) << "nobody has said that he waits";
  EXPECT_TRUE(permits_.want());
  EXPECT_TRUE(is_wanted());
}

// Another may sleep on what was written in passing, and be overlooked by who frees a seat meanwhile.
TEST_F(SeatedPermitsWord, IsTakenBackByOneWhoThenSeesAFreeSeat) {
  EXPECT_TRUE(permits_.take(false));
  EXPECT_FALSE(permits_.want());
  EXPECT_FALSE(is_wanted());
}

TEST_F(SeatedPermitsWord, IsWrittenAnewByOneWhoWasWoken) {
  EXPECT_TRUE(permits_.take(false));
  EXPECT_TRUE(permits_.take(false));
  EXPECT_TRUE(permits_.want());
  EXPECT_TRUE(permits_.give_back(1));
  EXPECT_FALSE(is_wanted()) << "one is woken";
  EXPECT_TRUE(permits_.take(true));
  EXPECT_TRUE(is_wanted()) << "others may sleep";
}

TEST_F(SeatedPermitsWord, IsWrittenAnewByOneWhoWasWokenInVain) {
  EXPECT_TRUE(permits_.take(false));
  EXPECT_TRUE(permits_.take(false));
  EXPECT_TRUE(permits_.want());
  EXPECT_TRUE(permits_.give_back(1));
  EXPECT_TRUE(permits_.take(false)) << "faster than who was woken";
  EXPECT_FALSE(permits_.take(true));
  EXPECT_TRUE(is_wanted());
}

TEST_F(SeatedPermitsWord, WakesAnotherWhenOneWhoWasWokenLeavesAFreeSeat) {
  EXPECT_TRUE(permits_.take(false));
  EXPECT_TRUE(permits_.take(false));
  EXPECT_TRUE(permits_.want());
  EXPECT_TRUE(permits_.give_back(2));
  EXPECT_TRUE(permits_.take(true));
  EXPECT_FALSE(is_wanted()) << "the next one is woken, as a seat is free";
}

}  // namespace
}  // namespace weft::test
