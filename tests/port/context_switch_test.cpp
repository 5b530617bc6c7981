#include "port/context_switch.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "coroutine.hpp"

namespace weft::port {
namespace {

class ContextSwitch : public testing::Test {
 protected:
  void SetUp() override {
    // It must be told of a switch from code it has not instrumented, as the engine's is.
    if (kThreadSanitizer) GTEST_SKIP() << "the engine's tests switch under ThreadSanitizer";
  }
};

TEST_F(ContextSwitch, RunsTheEntryWithWhatTheFirstSwitchPassed) {
  int runs = 0;
  Coroutine coroutine{[&](Coroutine& self) {
    ++runs;
    EXPECT_GE(reinterpret_cast<std::byte*>(__builtin_frame_address(0)), self.bottom());
    EXPECT_LT(reinterpret_cast<std::byte*>(__builtin_frame_address(0)), self.top());
  }};
  EXPECT_EQ(runs, 0);
  coroutine.resume();
  EXPECT_EQ(runs, 1);
  EXPECT_TRUE(coroutine.done());
}

TEST_F(ContextSwitch, CarriesValuesBothWays) {
  std::array<int, 100> there{};
  std::array<int, 100> back{};
  std::vector<void*> received;
  Coroutine coroutine{[&](Coroutine& self) {
    for (int& value : back) received.push_back(self.suspend(&value));
  }};
  EXPECT_EQ(coroutine.resume(), &back[0]);
  for (std::size_t i = 0; i < 99; ++i) EXPECT_EQ(coroutine.resume(&there[i]), &back[i + 1]);
  EXPECT_EQ(coroutine.resume(&there[99]), nullptr);
  EXPECT_TRUE(coroutine.done());
  ASSERT_EQ(received.size(), there.size());
  for (std::size_t i = 0; i < there.size(); ++i) EXPECT_EQ(received[i], &there[i]);
}

TEST_F(ContextSwitch, ManyContextsTakeTurns) {
  std::string order;
  std::vector<std::unique_ptr<Coroutine>> all;
  for (char name = 'a'; name <= 'z'; ++name) {
    all.push_back(std::make_unique<Coroutine>([&order, name](Coroutine& self) {
      for (int i = 0; i < 3; ++i) {
        order += name;
        self.suspend();
      }
    }));
  }
  for (int round = 0; round < 4; ++round) {
    for (auto& coroutine : all) coroutine->resume();
  }
  const std::string once = "abcdefghijklmnopqrstuvwxyz";
  EXPECT_EQ(order, once + once + once);
  EXPECT_TRUE(std::all_of(all.begin(), all.end(), [](const auto& coroutine) { return coroutine->done(); }));
}

// Whatever the end of the stack is: aligned access to locals, and any library function, relies on it.
TEST_F(ContextSwitch, StartsWithAnAlignedStack) {
  for (std::size_t short_by = 0; short_by < 32; ++short_by) {
    Coroutine coroutine{[](Coroutine&) {}, short_by};
    coroutine.resume();
    EXPECT_EQ(coroutine.first_frame() % 16, 0u) << short_by;
    EXPECT_LT(coroutine.first_frame(), reinterpret_cast<std::uintptr_t>(coroutine.top()) - short_by);
  }
}

TEST_F(ContextSwitch, ExceptionsUnwindWithinAContext) {
  std::string caught;
  Coroutine coroutine{[&](Coroutine& self) {
    for (int i = 0; i < 3; ++i) {
      try {
        throw std::runtime_error{std::to_string(i)};
      } catch (const std::runtime_error& error) {
        caught += error.what();
      }
      self.suspend();
    }
  }};
  while (!coroutine.done()) coroutine.resume();
  EXPECT_EQ(caught, "012");
}

/// More values than there are registers, integers and doubles, alive across every switch.
template <class SwitchAway>
[[gnu::noinline]] bool keeps_many_locals(std::uint64_t volatile& seed, SwitchAway switch_away) {
  std::uint64_t a = seed, b = seed * 3, c = seed * 5, d = seed * 7, e = seed * 11, f = seed * 13, g = seed * 17;
  double p = 1.5 * static_cast<double>(seed);
  double q = p + 2, r = p + 3, s = p + 4, t = p + 5, u = p + 6, v = p + 7, w = p + 8;
  const std::uint64_t first = seed;
  for (std::uint64_t round = 1; round <= 50; ++round) {
    switch_away();
    ++a, ++b, ++c, ++d, ++e, ++f, ++g;
    p += 1, q += 1, r += 1, s += 1, t += 1, u += 1, v += 1, w += 1;
  }
  const double half = 1.5 * static_cast<double>(first) + 50;
  return a == first + 50 && b == first * 3 + 50 && c == first * 5 + 50 && d == first * 7 + 50 && e == first * 11 + 50 &&
         f == first * 13 + 50 && g == first * 17 + 50 && p == half && q == half + 2 && r == half + 3 && s == half + 4 &&
         t == half + 5 && u == half + 6 && v == half + 7 && w == half + 8;
}

TEST_F(ContextSwitch, LocalsOfBothSidesSurvive) {
  std::uint64_t volatile seeds[2] = {1000, 77};
  bool kept_inside = false;
  Coroutine coroutine{[&](Coroutine& self) { kept_inside = keeps_many_locals(seeds[1], [&] { self.suspend(); }); }};
  EXPECT_TRUE(keeps_many_locals(seeds[0], [&] { coroutine.resume(); }));
  coroutine.resume();
  EXPECT_TRUE(coroutine.done());
  EXPECT_TRUE(kept_inside);
}

#if defined(__x86_64__)

using Registers = std::array<std::uint64_t, 6>;  // rbx, rbp, r12 to r15
extern "C" void* weft_test_marked_switch(void** save, void* load, void* pass, const std::uint64_t* marks,
                                         std::uint64_t* found);
asm(R"(
.text
.type weft_test_marked_switch,@function
weft_test_marked_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %r8
    movq (%rcx), %rbx
    movq 8(%rcx), %rbp
    movq 16(%rcx), %r12
    movq 24(%rcx), %r13
    movq 32(%rcx), %r14
    movq 40(%rcx), %r15
    call weft_switch_context
    popq %r8
    movq %rbx, (%r8)
    movq %rbp, 8(%r8)
    movq %r12, 16(%r8)
    movq %r13, 24(%r8)
    movq %r14, 32(%r8)
    movq %r15, 40(%r8)
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size weft_test_marked_switch, .-weft_test_marked_switch
)");

TEST_F(ContextSwitch, KeepsEachCalleeSavedRegister) {
  static constexpr Registers kOutside{0x1111, 0x2222, 0x3333, 0x4444, 0x5555, 0x6666};
  static constexpr Registers kInside{~0x1ull, ~0x2ull, ~0x3ull, ~0x4ull, ~0x5ull, ~0x6ull};
  static Registers found_outside;
  static Registers found_inside;
  found_outside = found_inside = {};
  const Switch from_outside = [](void** save, void* load, void* pass) {
    return weft_test_marked_switch(save, load, pass, kOutside.data(), found_outside.data());
  };
  const Switch from_inside = [](void** save, void* load, void* pass) {
    return weft_test_marked_switch(save, load, pass, kInside.data(), found_inside.data());
  };
  Coroutine coroutine{[&](Coroutine& self) { self.suspend(nullptr, from_inside); }};
  coroutine.resume(nullptr, from_outside);
  EXPECT_EQ(found_outside, kOutside);
  found_outside = {};
  coroutine.resume(nullptr, from_outside);
  EXPECT_EQ(found_inside, kInside);
  EXPECT_EQ(found_outside, kOutside);
}

#endif

}  // namespace
}  // namespace weft::port
