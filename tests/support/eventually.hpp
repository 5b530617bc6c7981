#pragma once

#include <chrono>

#include <weft/base/deadline.hpp>
#include <weft/fiber/this_fiber.hpp>

namespace weft::test {

using namespace std::chrono_literals;

/// Longer than anything in a test can take on a busy machine; what is not done by then never will be.
inline constexpr std::chrono::seconds kPatience{60};

/// Waits until condition() is true: whether it became so. On a fiber others run meanwhile.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition, std::chrono::nanoseconds patience = kPatience) {
  const Deadline deadline = Deadline::after(patience);
  for (int round = 0; !condition(); ++round) {
    if (deadline.has_passed()) return condition();
    if (round < 50) {
      yield();
    } else {
      sleep_for(200us);
    }
  }
  return true;
}

/// Time that passed since it was made.
class Stopwatch {
 public:
  [[nodiscard]] Duration elapsed() const { return Clock::now() - begin_; }

 private:
  Clock::time_point begin_ = Clock::now();
};

}  // namespace weft::test
