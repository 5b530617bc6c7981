#include <weft/base/unique_function.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace weft {
namespace {

/// Counts its lives; with `Padding` it decides whether a callable is kept in place.
template <std::size_t Padding>
struct Counted {
  int* alive;
  std::array<std::byte, Padding> padding{};

  explicit Counted(int& count) : alive{&count} { ++*alive; }
  Counted(Counted&& other) noexcept : alive{other.alive} { ++*alive; }
  ~Counted() { --*alive; }
  int operator()(int x) { return x + 1; }
};
using Small = Counted<8>;
using Large = Counted<200>;

/// As small as Small, but its move may throw: not to be kept in place.
struct ThrowingMove {
  int* moves;
  explicit ThrowingMove(int& count) : moves{&count} {}
  ThrowingMove(ThrowingMove&& other) noexcept(false) : moves{other.moves} { ++*moves; }
  int operator()() { return 7; }
};

static_assert(!std::is_copy_constructible_v<UniqueFunction<void()>>);
static_assert(std::is_nothrow_move_constructible_v<UniqueFunction<void()>>);
static_assert(std::is_nothrow_move_assignable_v<UniqueFunction<void()>>);
static_assert(!std::is_constructible_v<UniqueFunction<void(int)>, void (*)(std::string)>);
static_assert(!std::is_constructible_v<UniqueFunction<int()>, std::string (*)()>);

TEST(UniqueFunction, EmptyOnesSayThatAndThrowWhenCalled) {
  UniqueFunction<int()> none;
  UniqueFunction<int()> null = nullptr;
  EXPECT_FALSE(none);
  EXPECT_FALSE(null);
  EXPECT_THROW(none(), std::bad_function_call);
  EXPECT_THROW(null(), std::bad_function_call);
  UniqueFunction<int()> full = [] { return 1; };
  EXPECT_TRUE(full);
  full = nullptr;
  EXPECT_FALSE(full);
  EXPECT_THROW(full(), std::bad_function_call);
}

// As std::move_only_function: a null pointer is no target.
TEST(UniqueFunction, NullPointersMakeEmptyOnes) {
  struct Object {
    int method() { return 1; }
  };
  int (*no_function)() = nullptr;
  int (Object::*no_method)() = nullptr;
  EXPECT_FALSE(UniqueFunction<int()>{no_function});
  EXPECT_FALSE((UniqueFunction<int(Object&)>{no_method}));
}

TEST(UniqueFunction, HoldsCallablesThatCanOnlyBeMoved) {
  UniqueFunction<int()> function = [p = std::make_unique<int>(42)] { return *p; };
  UniqueFunction<int()> other = std::move(function);
  EXPECT_FALSE(function);
  EXPECT_EQ(other(), 42);
  EXPECT_EQ(other(), 42);
}

TEST(UniqueFunction, CallsWhateverCanBeCalled) {
  struct Object {
    int factor;
    int times(int x) { return factor * x; }
  };
  UniqueFunction<int(Object&, int)> method = &Object::times;
  Object object{6};
  EXPECT_EQ(method(object, 7), 42);
  UniqueFunction<int(const Object&)> member = &Object::factor;
  EXPECT_EQ(member(object), 6);
  UniqueFunction<long(std::string)> converted = [](const std::string& text) { return static_cast<short>(text.size()); };
  EXPECT_EQ(converted("four"), 4);
  int calls = 0;
  UniqueFunction<void()> drops_the_result = [&] { return ++calls; };
  drops_the_result();
  EXPECT_EQ(calls, 1);
}

TEST(UniqueFunction, PassesArgumentsAndResultsOn) {
  UniqueFunction<std::unique_ptr<int>(std::unique_ptr<int>)> through = [](std::unique_ptr<int> p) { return p; };
  auto p = std::make_unique<int>(1);
  const int* const address = p.get();
  EXPECT_EQ(through(std::move(p)).get(), address);
  int value = 0;
  UniqueFunction<int&(int&)> reference = [](int& x) -> int& { return x; };
  EXPECT_EQ(&reference(value), &value);
  UniqueFunction<int()> counts = [n = 0]() mutable { return ++n; };
  counts();
  EXPECT_EQ(counts(), 2);
}

template <class Callable>
void expect_destroyed_once() {
  int alive = 0;
  {
    UniqueFunction<int(int)> first{Callable{alive}};
    EXPECT_EQ(alive, 1);
    UniqueFunction<int(int)> second{std::move(first)};
    EXPECT_EQ(alive, 1);
    EXPECT_EQ(second(1), 2);
    first = std::move(second);
    EXPECT_EQ(alive, 1);
    EXPECT_EQ(first(2), 3);
    first = Callable{alive};
    EXPECT_EQ(alive, 1);
    second = std::move(first);
    first = UniqueFunction<int(int)>{Callable{alive}};
    EXPECT_EQ(alive, 2);
    first = nullptr;
    EXPECT_EQ(alive, 1);
    std::swap(first, second);
    EXPECT_EQ(alive, 1);
    EXPECT_TRUE(first && !second);
  }
  EXPECT_EQ(alive, 0);
}

TEST(UniqueFunction, DestroysASmallCallableExactlyOnce) { expect_destroyed_once<Small>(); }
TEST(UniqueFunction, DestroysALargeCallableExactlyOnce) { expect_destroyed_once<Large>(); }

TEST(UniqueFunction, SurvivesBeingMovedToItself) {
  int alive = 0;
  UniqueFunction<int(int)> small{Small{alive}};
  UniqueFunction<int(int)> large{Large{alive}};
  for (auto* function : {&small, &large}) {
    auto& alias = *function;
    *function = std::move(alias);
    EXPECT_TRUE(*function);
    EXPECT_EQ((*function)(1), 2);
  }
  EXPECT_EQ(alive, 2);
}

TEST(UniqueFunction, KeepsWhatFourPointersHoldInPlaceAndWhatMayThrowOnTheHeap) {
  const auto is_within = [](const void* address, const auto& object) {
    const auto at = reinterpret_cast<std::uintptr_t>(address);
    const auto begin = reinterpret_cast<std::uintptr_t>(&object);
    return at >= begin && at < begin + sizeof object;
  };
  const auto self = [](auto padding) { return [padding] { return static_cast<const void*>(&padding); }; };
  UniqueFunction<const void*()> four = self(std::array<void*, 4>{});
  UniqueFunction<const void*()> five = self(std::array<void*, 5>{});
  EXPECT_TRUE(is_within(four(), four));
  EXPECT_FALSE(is_within(five(), five));
  int moves = 0;
  UniqueFunction<int()> throwing{ThrowingMove{moves}};
  const int before = moves;
  UniqueFunction<int()> moved = std::move(throwing);
  EXPECT_EQ(moved(), 7);
  EXPECT_EQ(moves, before);
}

TEST(UniqueFunction, AlignsACallableAsItAsks) {
  struct alignas(64) Aligned {
    std::uintptr_t operator()() const { return reinterpret_cast<std::uintptr_t>(this) % 64; }
  };
  UniqueFunction<std::uintptr_t()> function = Aligned{};
  UniqueFunction<std::uintptr_t()> moved = std::move(function);
  EXPECT_EQ(moved(), 0u);
}

TEST(UniqueFunction, ThrowsWhatTheCallableThrowsAndStaysUsable) {
  UniqueFunction<int(int)> function = [](int x) { return x < 0 ? throw std::invalid_argument{"negative"} : x; };
  EXPECT_THROW(function(-1), std::invalid_argument);
  EXPECT_EQ(function(1), 1);
}

// A chain of continuations advances so: the next stands in a capture of the one that is replaced.
TEST(UniqueFunction, MayBeReplacedByOneThatItHolds) {
  struct Link {
    std::unique_ptr<UniqueFunction<int()>> next;
    int operator()() const { return 1; }
  };
  auto inner = std::make_unique<UniqueFunction<int()>>([] { return 2; });
  UniqueFunction<int()>* const held = inner.get();
  UniqueFunction<int()> chain = Link{std::move(inner)};
  chain = std::move(*held);
  ASSERT_TRUE(chain);
  EXPECT_EQ(chain(), 2);
}

}  // namespace
}  // namespace weft
