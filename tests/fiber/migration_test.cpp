// What belongs to a fiber goes with it from thread to thread.

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cfenv>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>

#include "support/eventually.hpp"
#include "support/leaks.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

class Migration : public LeakFree {
 protected:
  /// Runs `count` fibers at once that are moved at every switch; how many arrived on another thread at least once.
  int on_the_move(int count, const std::function<void(int)>& body) {
    Runtime runtime{{.workers = 3, .name = "test", .migrate_always = true}};
    std::atomic<int> moved{0};
    runtime.run([&] {
      std::vector<Fiber<void>> fibers;
      for (int i = 0; i < count; ++i) {
        fibers.push_back(spawn([&, i] {
          const int begin = ::gettid();
          body(i);
          // The bodies are short; go on until moved, so that the test is about what it says.
          const Deadline deadline = Deadline::after(kPatience);
          while (::gettid() == begin && !deadline.has_passed()) sleep_for(50us);
          if (::gettid() != begin) ++moved;
        }));
      }
      for (auto& fiber : fibers) fiber.get();
    });
    return moved;
  }
};

void switch_somehow(int round) {
  if (round % 3 == 0) {
    sleep_for(std::chrono::microseconds{20 + round % 50});
  } else {
    yield();
  }
}

TEST_F(Migration, ExceptionsInFlightStayWithTheirFiber) {
  const int moved = on_the_move(16, [](int number) {
    for (int i = 0; i < rounds(60); ++i) {
      const std::string mine = std::to_string(number) + "/" + std::to_string(i);
      try {
        try {
          throw std::runtime_error{mine};
        } catch (const std::runtime_error& error) {
          switch_somehow(i);
          EXPECT_EQ(error.what(), mine);
          try {
            throw std::logic_error{"inner " + mine};
          } catch (const std::logic_error& inner) {
            switch_somehow(i + 1);
            EXPECT_EQ(inner.what(), "inner " + mine);
          }
          throw;  // the outer one again, whatever others threw on this thread meanwhile
        }
      } catch (const std::runtime_error& error) {
        EXPECT_EQ(error.what(), mine);
      }
      EXPECT_EQ(std::uncaught_exceptions(), 0);
      EXPECT_EQ(std::current_exception(), nullptr);
    }
  });
  EXPECT_EQ(moved, 16);
}

TEST_F(Migration, UncaughtExceptionsAreCountedPerFiber) {
  struct Unwinding {
    int round;
    int expected;
    ~Unwinding() {
      EXPECT_EQ(std::uncaught_exceptions(), expected);
      switch_somehow(round);
      EXPECT_EQ(std::uncaught_exceptions(), expected);
    }
  };
  const int moved = on_the_move(16, [](int number) {
    for (int i = 0; i < rounds(60); ++i) {
      if (number % 2 == 0) {
        // Half of the fibers unwind all the time; the others must not notice.
        const Unwinding calm{i, 0};
        EXPECT_EQ(std::uncaught_exceptions(), 0);
        switch_somehow(i);
        EXPECT_EQ(std::uncaught_exceptions(), 0);
      } else {
        try {
          const Unwinding unwinding{i, 1};
          throw number;
        } catch (const int value) {
          EXPECT_EQ(value, number);
          EXPECT_EQ(std::uncaught_exceptions(), 0);
        }
      }
    }
  });
  EXPECT_EQ(moved, 16);
}

// The address of errno is the thread's: code that looks it up anew after a switch finds the right one.
// Not for ThreadSanitizer: between fibers of one thread nothing orders these, and nothing needs to.
#ifdef __clang__
#define WEFT_TEST_UNSEEN __attribute__((no_sanitize("thread")))
#else
#define WEFT_TEST_UNSEEN
#endif
[[gnu::noinline]] WEFT_TEST_UNSEEN void set_errno(int value) {
  asm volatile("");
  errno = value;
}
[[gnu::noinline]] WEFT_TEST_UNSEEN int get_errno() {
  asm volatile("");
  return errno;
}
[[gnu::noinline]] const void* address_of_errno() {
  asm volatile("");
  return &errno;
}

TEST_F(Migration, ErrnoReadThroughAFunctionIsThatOfTheThreadItRunsOn) {
  const int moved = on_the_move(12, [](int number) {
    int thread = ::gettid();
    const void* address = address_of_errno();
    for (int i = 0; i < rounds(60); ++i) {
      switch_somehow(i);
      if (::gettid() == thread) {
        EXPECT_EQ(address_of_errno(), address);
      } else {
        EXPECT_NE(address_of_errno(), address);
      }
      thread = ::gettid();
      address = address_of_errno();
      set_errno(1000 + number);
      EXPECT_EQ(get_errno(), 1000 + number);
      EXPECT_EQ(::close(-1), -1);
      EXPECT_EQ(get_errno(), EBADF);
    }
  });
  EXPECT_EQ(moved, 12);
}

TEST_F(Migration, RoundingModeStaysWithItsFiber) {
  const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
  const int moved = on_the_move(8, [&](int number) {
    EXPECT_EQ(std::fegetround(), FE_TONEAREST);
    const int mode = modes[number % 4];
    std::fesetround(mode);
    for (int i = 0; i < rounds(60); ++i) {
      switch_somehow(i);
      EXPECT_EQ(std::fegetround(), mode);
    }
  });
  EXPECT_EQ(moved, 8);
}

TEST_F(Migration, LocalsAndIdentityStayWithTheirFiber) {
  const int moved = on_the_move(16, [](int number) {
    const auto id = detail::current_context_id();
    std::vector<int> values(100, number);
    volatile double fraction = number / 3.0;
    const double expected = fraction;
    for (int i = 0; i < rounds(60); ++i) {
      switch_somehow(i);
      EXPECT_EQ(detail::current_context_id(), id);
      EXPECT_EQ(values, std::vector<int>(100, number));
      EXPECT_EQ(fraction, expected);
    }
  });
  EXPECT_EQ(moved, 16);
}

}  // namespace
}  // namespace weft::test
