#include <weft/fiber/generator.hpp>

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/queue/queue.hpp>
#include <weft/sync/event.hpp>
#include <weft/thread/thread.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

template <class Range>
auto collect(Range&& range) {
  std::vector<std::ranges::range_value_t<Range>> all;
  for (auto&& element : range) all.push_back(std::forward<decltype(element)>(element));
  return all;
}

using Ints = std::vector<int>;

/// What happened, in order.
struct Journal {
  std::string text;
  void add(const std::string& what) { text += what + ' '; }
};

/// Says when it is destroyed.
class Mark {
 public:
  Mark(Journal& journal, std::string name) : journal_{&journal}, name_{std::move(name)} {}
  Mark(Mark&& other) noexcept : journal_{std::exchange(other.journal_, nullptr)}, name_{std::move(other.name_)} {}
  Mark& operator=(Mark&&) = delete;
  ~Mark() {
    if (journal_) journal_->add("~" + name_);
  }

 private:
  Journal* journal_;
  std::string name_;
};

Generator<int> up_to(int count) {
  for (int i = 0; i < count; ++i) co_yield i;
}

Generator<int> naturals() {
  for (int i = 0;; ++i) co_yield i;
}

// ---- values out ------------------------------------------------------------------------------------------------------

TEST(Generator, YieldsOneValueAfterTheOther) {
  EXPECT_EQ(collect(up_to(4)), (Ints{0, 1, 2, 3}));
  EXPECT_EQ(collect(up_to(0)), Ints{});
}

Generator<int> noting(Journal& journal) {
  journal.add("begins");
  co_yield 1;
  journal.add("goes-on");
  co_yield 2;
  journal.add("ends");
}

TEST(Generator, DoesNothingUntilAskedAndNoMoreThanAsked) {
  Journal journal;
  auto generator = noting(journal);
  EXPECT_EQ(journal.text, "");
  EXPECT_FALSE(generator.done());
  EXPECT_EQ(generator.next(), 1);
  EXPECT_EQ(journal.text, "begins ");
  EXPECT_EQ(generator.next(), 2);
  EXPECT_EQ(journal.text, "begins goes-on ");
  EXPECT_FALSE(generator.done());
  EXPECT_EQ(generator.next(), std::nullopt);
  EXPECT_EQ(journal.text, "begins goes-on ends ");
  EXPECT_TRUE(generator.done());
}

TEST(Generator, StaysAtItsEnd) {
  auto generator = up_to(1);
  EXPECT_EQ(generator.next(), 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(generator.next(), std::nullopt);
  EXPECT_EQ(collect(generator), Ints{});
}

Generator<std::optional<int>> options() {
  co_yield std::nullopt;
  co_yield 7;
  co_yield std::nullopt;
}

TEST(Generator, TellsItsEndFromAnyValue) {
  auto generator = options();
  EXPECT_EQ(generator.next(), std::optional<std::optional<int>>{std::optional<int>{}});
  EXPECT_EQ(generator.next(), std::optional<std::optional<int>>{7});
  EXPECT_TRUE(generator.next().has_value());
  EXPECT_FALSE(generator.next().has_value());
}

TEST(Generator, WithoutEndIsTakenFromAsFarAsWanted) {
  auto generator = naturals();
  int sum = 0;
  for (const int i : generator) {
    if (i == 100) break;
    sum += i;
  }
  EXPECT_EQ(sum, 4950);
}

TEST(Generator, LoopGoesOnWhereItStands) {
  auto generator = naturals();
  EXPECT_EQ(generator.next(), 0);
  for (const int i : generator) {
    if (i == 3) break;
  }
  EXPECT_EQ(generator.next(), 4);
  for (const int i : generator) {
    EXPECT_EQ(i, 5);
    break;
  }
}

TEST(Generator, IsARangeForViews) {
  static_assert(std::ranges::input_range<Generator<int>> && std::ranges::view<Generator<int>>);
  static_assert(!std::ranges::forward_range<Generator<int>>);
  static_assert(std::is_same_v<std::ranges::range_reference_t<Generator<std::string>>, std::string&&>);
  static_assert(std::is_same_v<std::ranges::range_reference_t<Generator<std::string&>>, std::string&>);
  static_assert(!std::is_copy_constructible_v<Generator<int>>);
  const auto is_odd = [](int i) { return i % 2 != 0; };
  const auto square = [](int i) { return i * i; };
  EXPECT_EQ(collect(naturals() | std::views::filter(is_odd) | std::views::transform(square) | std::views::take(4)),
            (Ints{1, 9, 25, 49}));
  auto rest = naturals();
  EXPECT_EQ(collect(std::views::take_while(std::move(rest), [](int i) { return i < 3; })), (Ints{0, 1, 2}));
}

TEST(Generator, ManyOfOneFunctionAreIndependent) {
  auto one = naturals();
  auto other = naturals();
  EXPECT_EQ(one.next(), 0);
  EXPECT_EQ(one.next(), 1);
  EXPECT_EQ(other.next(), 0);
  EXPECT_EQ(one.next(), 2);
  EXPECT_EQ(other.next(), 1);
}

Generator<std::unique_ptr<int>> owners(int count) {
  for (int i = 0; i < count; ++i) co_yield std::make_unique<int>(i);
}

TEST(Generator, YieldsWhatCanOnlyBeMoved) {
  int sum = 0;
  for (std::unique_ptr<int> owner : owners(4)) sum += *owner;
  EXPECT_EQ(sum, 6);
  auto generator = owners(2);
  std::optional<std::unique_ptr<int>> first = generator.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(**first, 0);
}

Generator<std::string> from_variable(std::string& seen_after) {
  std::string text = "a text too long to stand in the string itself";
  co_yield text;
  seen_after = text;
  co_yield std::move(text);
  co_yield "converted";
}

TEST(Generator, YieldOfAVariableLeavesItsValueThere) {
  std::string after;
  auto generator = from_variable(after);
  EXPECT_EQ(generator.next(), "a text too long to stand in the string itself");
  EXPECT_EQ(generator.next(), "a text too long to stand in the string itself");
  EXPECT_EQ(after, "a text too long to stand in the string itself");
  EXPECT_EQ(generator.next(), "converted");
}

Generator<int&> elements(std::vector<int>& values) {
  for (int& value : values) co_yield value;
}

Generator<const std::string&> texts(const std::map<int, std::string>& map) {
  for (const auto& [key, text] : map) co_yield text;
  const std::string last = "last";
  co_yield last;
}

TEST(Generator, YieldsReferences) {
  Ints values{1, 2, 3};
  for (int& value : elements(values)) value *= 10;
  EXPECT_EQ(values, (Ints{10, 20, 30}));
  auto generator = elements(values);
  EXPECT_EQ(generator.next(), &values[0]);
  EXPECT_EQ(generator.next(), &values[1]);
  EXPECT_EQ(generator.next(), &values[2]);
  EXPECT_EQ(generator.next(), nullptr);
  EXPECT_EQ(collect(texts({{1, "one"}, {2, "two"}})), (std::vector<std::string>{"one", "two", "last"}));
}

TEST(Generator, MovesAndIsEmptyAfterwards) {
  auto one = naturals();
  EXPECT_EQ(one.next(), 0);
  auto other = std::move(one);
  EXPECT_EQ(other.next(), 1);
  EXPECT_EQ(one.next(), std::nullopt);
  EXPECT_TRUE(one.done());
  EXPECT_NO_THROW(one.close());
  EXPECT_THROW((void)one.begin(), InvalidStateError);
  one = std::move(other);
  EXPECT_EQ(one.next(), 2);
  Generator<int> none;
  EXPECT_TRUE(none.done());
  EXPECT_EQ(none.next(), std::nullopt);
}

Generator<int> with_marks(Journal& journal, [[maybe_unused]] Mark parameter) {
  const Mark outer{journal, "outer"};
  for (int i = 0; i < 2; ++i) {
    const Mark inner{journal, "inner" + std::to_string(i)};
    co_yield i;
  }
  journal.add("ends");
}

TEST(Generator, DestroyedHalfWayDestroysItsVariablesInnermostFirst) {
  Journal journal;
  {
    auto generator = with_marks(journal, Mark{journal, "parameter"});
    EXPECT_EQ(generator.next(), 0);
    EXPECT_EQ(generator.next(), 1);
    EXPECT_EQ(journal.text, "~inner0 ");
  }
  EXPECT_EQ(journal.text, "~inner0 ~inner1 ~outer ~parameter ");
}

TEST(Generator, DestroyedBeforeItBeginsDestroysItsParameters) {
  Journal journal;
  { auto generator = with_marks(journal, Mark{journal, "parameter"}); }
  EXPECT_EQ(journal.text, "~parameter ");
}

TEST(Generator, AssignmentEndsTheFormerOne) {
  Journal journal;
  auto generator = with_marks(journal, Mark{journal, "parameter"});
  EXPECT_EQ(generator.next(), 0);
  generator = up_to(2);
  EXPECT_EQ(journal.text, "~inner0 ~outer ~parameter ");
  EXPECT_EQ(generator.next(), 0);
}

Generator<int> owning(std::unique_ptr<Generator<int>>& own) {
  Generator<int> inner = std::move(*own);
  co_yield elements_of(inner);
}

TEST(Generator, MayOwnAnother) {
  Journal journal;
  auto inner = std::make_unique<Generator<int>>(with_marks(journal, Mark{journal, "parameter"}));
  {
    auto outer = owning(inner);
    EXPECT_EQ(outer.next(), 0);
  }
  EXPECT_EQ(journal.text, "~inner0 ~outer ~parameter ");
}

// ---- exceptions ------------------------------------------------------------------------------------------------------

Generator<int> failing_after(int count) {
  for (int i = 0; i < count; ++i) co_yield i;
  throw std::runtime_error{"enough"};
}

TEST(Generator, ExceptionOfTheBodyComesOutOfTheCallAndEndsIt) {
  auto generator = failing_after(1);
  EXPECT_EQ(generator.next(), 0);
  EXPECT_THROW(generator.next(), std::runtime_error);
  EXPECT_TRUE(generator.done());
  EXPECT_EQ(generator.next(), std::nullopt);
  EXPECT_THROW(collect(failing_after(3)), std::runtime_error);
  EXPECT_THROW(failing_after(0).next(), std::runtime_error);
}

Generator<std::string> catching(Journal& journal) {
  for (;;) {
    std::string caught;
    try {
      co_yield "waits";
      journal.add("resumed");
    } catch (const std::runtime_error& error) {
      caught = error.what();
    }
    if (!caught.empty()) co_yield "caught " + caught;
  }
}

TEST(Generator, ThrowArrivesAtTheYieldItStandsAt) {
  Journal journal;
  auto generator = catching(journal);
  EXPECT_EQ(generator.next(), "waits");
  EXPECT_EQ(generator.throw_(std::runtime_error{"one"}), "caught one");
  EXPECT_EQ(generator.next(), "waits");
  EXPECT_EQ(generator.throw_(std::make_exception_ptr(std::runtime_error{"two"})), "caught two");
  EXPECT_EQ(journal.text, "");
  EXPECT_THROW(generator.throw_(std::logic_error{"not caught"}), std::logic_error);
  EXPECT_TRUE(generator.done());
}

TEST(Generator, ThrowBeforeTheBeginEndsItWithoutRunning) {
  Journal journal;
  auto generator = noting(journal);
  EXPECT_THROW(generator.throw_(std::runtime_error{"early"}), std::runtime_error);
  EXPECT_TRUE(generator.done());
  EXPECT_EQ(generator.next(), std::nullopt);
  EXPECT_EQ(journal.text, "");
}

TEST(Generator, ThrowIntoAnEndedOneComesBack) {
  auto generator = up_to(0);
  EXPECT_EQ(generator.next(), std::nullopt);
  EXPECT_THROW(generator.throw_(std::runtime_error{"late"}), std::runtime_error);
  EXPECT_THROW(Generator<int>{}.throw_(7), int);
  EXPECT_THROW(generator.throw_(std::exception_ptr{}), InvalidStateError);
}

Generator<int> returning_on_exception() {
  try {
    co_yield 1;
  } catch (const std::runtime_error&) {
    co_return;
  }
  ADD_FAILURE();
}

TEST(Generator, ThrowThatIsAnsweredByReturningIsTheEnd) {
  auto generator = returning_on_exception();
  EXPECT_EQ(generator.next(), 1);
  EXPECT_EQ(generator.throw_(std::runtime_error{""}), std::nullopt);
}

// ---- close -----------------------------------------------------------------------------------------------------------

TEST(Generator, CloseRunsDestructorsAndIsQuiet) {
  Journal journal;
  auto generator = with_marks(journal, Mark{journal, "parameter"});
  EXPECT_EQ(generator.next(), 0);
  generator.close();
  EXPECT_EQ(journal.text, "~inner0 ~outer ");
  EXPECT_TRUE(generator.done());
  EXPECT_EQ(generator.next(), std::nullopt);
  EXPECT_NO_THROW(generator.close());
}

TEST(Generator, CloseBeforeTheBeginEndsItWithoutRunning) {
  Journal journal;
  auto generator = noting(journal);
  generator.close();
  EXPECT_EQ(generator.next(), std::nullopt);
  EXPECT_EQ(journal.text, "");
}

Generator<int> noting_exit(Journal& journal, int answer) {
  bool exits = false;
  try {
    try {
      co_yield 1;
    } catch (const std::exception&) {
      journal.add("taken-for-a-failure");
    }
  } catch (const GeneratorExit&) {
    journal.add("exit");
    if (answer == 1) throw;
    if (answer == 2) throw std::runtime_error{"in the handler"};
    exits = true;
  }
  if (answer == 3) co_yield 2;
  if (answer == 3) journal.add("goes-on");
  EXPECT_TRUE(exits);
}

TEST(Generator, CloseThrowsGeneratorExitWhichIsNoFailure) {
  for (const int answer : {0, 1}) {
    Journal journal;
    auto generator = noting_exit(journal, answer);
    EXPECT_EQ(generator.next(), 1);
    EXPECT_NO_THROW(generator.close());
    EXPECT_EQ(journal.text, "exit ");
    EXPECT_TRUE(generator.done());
  }
}

TEST(Generator, CloseLetsOtherExceptionsThrough) {
  Journal journal;
  auto generator = noting_exit(journal, 2);
  EXPECT_EQ(generator.next(), 1);
  EXPECT_THROW(generator.close(), std::runtime_error);
  EXPECT_TRUE(generator.done());
}

TEST(Generator, YieldingAfterCloseIsAnError) {
  Journal journal;
  auto generator = noting_exit(journal, 3);
  EXPECT_EQ(generator.next(), 1);
  EXPECT_THROW(generator.close(), InvalidStateError);
  EXPECT_FALSE(generator.done());
  EXPECT_EQ(generator.next(), std::nullopt);
  EXPECT_EQ(journal.text, "exit goes-on ");
}

// ---- values in -------------------------------------------------------------------------------------------------------

Generator<int, int> running_sum() {
  int sum = 0;
  for (;;) {
    const std::optional<int> sent = co_yield sum;
    sum = sent ? sum + *sent : -1;
  }
}

TEST(Generator, SendGivesAValueToTheYieldItStandsAt) {
  auto generator = running_sum();
  EXPECT_EQ(generator.next(), 0);
  EXPECT_EQ(generator.send(5), 5);
  EXPECT_EQ(generator.send(7), 12);
  EXPECT_EQ(generator.next(), -1);
  EXPECT_EQ(generator.send(1), 0);
}

TEST(Generator, SendBeforeTheBeginIsAnError) {
  auto generator = running_sum();
  EXPECT_THROW(generator.send(5), InvalidStateError);
  EXPECT_FALSE(generator.done());
  EXPECT_EQ(generator.next(), 0);
  EXPECT_EQ(generator.send(5), 5);
}

Generator<int, std::unique_ptr<int>> taking_owners(std::vector<int>& taken) {
  for (int i = 0; i < 2; ++i) {
    if (const auto sent = co_yield i) taken.push_back(**sent);
  }
}

TEST(Generator, SendsWhatCanOnlyBeMovedAndNothingAtTheEnd) {
  Ints taken;
  auto generator = taking_owners(taken);
  EXPECT_EQ(generator.next(), 0);
  EXPECT_EQ(generator.send(std::make_unique<int>(3)), 1);
  EXPECT_EQ(generator.send(std::make_unique<int>(4)), std::nullopt);
  EXPECT_EQ(generator.send(std::make_unique<int>(5)), std::nullopt);
  EXPECT_EQ(taken, (Ints{3, 4}));
}

TEST(Generator, LoopSendsNothing) {
  auto generator = running_sum();
  Ints seen;
  for (const int value : generator) {
    seen.push_back(value);
    if (seen.size() == 3) break;
  }
  EXPECT_EQ(seen, (Ints{0, -1, -1}));
}

Generator<int, int, std::string> returning(int count) {
  int sum = 0;
  for (int i = 0; i < count; ++i) sum += (co_yield i).value_or(0);
  co_return "sum " + std::to_string(sum);
}

TEST(Generator, ReturnsAResult) {
  auto generator = returning(2);
  EXPECT_EQ(generator.result(), std::nullopt);
  EXPECT_EQ(generator.next(), 0);
  EXPECT_EQ(generator.send(4), 1);
  EXPECT_EQ(generator.result(), std::nullopt);
  EXPECT_EQ(generator.send(5), std::nullopt);
  EXPECT_EQ(generator.result(), "sum 9");
  EXPECT_EQ(generator.result(), std::nullopt);
}

// ---- asked while it runs ---------------------------------------------------------------------------------------------

Generator<int, int> asking_itself(Generator<int, int>*& self, int how) {
  co_yield 1;
  switch (how) {
    case 0: self->next(); break;
    case 1: self->send(1); break;
    case 2: self->throw_(std::runtime_error{""}); break;
    case 3: self->close(); break;
    default: co_yield elements_of(*self);
  }
  ADD_FAILURE() << how;
}

TEST(Generator, AskedFromInsideOfItselfIsAnError) {
  for (const int how : {0, 1, 2, 3, 4}) {
    Generator<int, int>* self = nullptr;
    auto generator = asking_itself(self, how);
    self = &generator;
    EXPECT_EQ(generator.next(), 1);
    EXPECT_THROW(generator.next(), InvalidStateError) << how;
    EXPECT_TRUE(generator.done());
  }
}

Generator<int> recovering(Generator<int>*& self) {
  co_yield 1;
  EXPECT_THROW(self->next(), InvalidStateError);
  EXPECT_FALSE(self->done());
  co_yield 2;
}

TEST(Generator, SurvivesBeingAskedFromInside) {
  Generator<int>* self = nullptr;
  auto generator = recovering(self);
  self = &generator;
  EXPECT_EQ(collect(generator), (Ints{1, 2}));
}

// ---- delegation ------------------------------------------------------------------------------------------------------

Generator<int> in_between() {
  co_yield -1;
  co_yield elements_of(up_to(3));
  co_yield -2;
  co_yield elements_of(up_to(0));
  co_yield -3;
}

TEST(GeneratorDelegation, YieldsTheElementsOfAnother) { EXPECT_EQ(collect(in_between()), (Ints{-1, 0, 1, 2, -2, -3})); }

Generator<int> in_order(int depth) {
  if (depth == 0) co_return;
  co_yield elements_of(in_order(depth - 1));
  co_yield depth;
  co_yield elements_of(in_order(depth - 1));
}

TEST(GeneratorDelegation, WalksATree) { EXPECT_EQ(collect(in_order(3)), (Ints{1, 2, 1, 3, 1, 2, 1})); }

Generator<int> silent(int count) {
  for (int i = 0; i < count; ++i) co_yield elements_of(up_to(0));
  co_yield count;
}

TEST(GeneratorDelegation, ManySubgeneratorsWithoutValuesNeedNoStack) {
  EXPECT_EQ(collect(silent(200'000)), Ints{200'000});
}

Generator<int> at_depth(int depth, Generator<int>& bottom) {
  if (depth > 0) {
    co_yield elements_of(at_depth(depth - 1, bottom));
  } else {
    co_yield elements_of(bottom);
  }
}

TEST(GeneratorDelegation, IsNotLimitedInDepthByTheStack) {
  constexpr int kDepth = 100'000;
  {
    auto bottom = up_to(3);
    EXPECT_EQ(collect(at_depth(kDepth, bottom)), (Ints{0, 1, 2}));
  }
  {
    auto bottom = naturals();
    auto half_way = at_depth(kDepth, bottom);
    EXPECT_EQ(half_way.next(), 0);
  }
  {
    auto bottom = failing_after(1);
    auto generator = at_depth(kDepth, bottom);
    EXPECT_EQ(generator.next(), 0);
    EXPECT_THROW(generator.next(), std::runtime_error);
  }
  auto bottom = naturals();
  auto closed = at_depth(1000, bottom);
  EXPECT_EQ(closed.next(), 0);
  closed.close();
  EXPECT_TRUE(bottom.done());
}

Generator<int> over_ranges(std::vector<int>& values) {
  co_yield elements_of(values);
  std::vector<int> temporary{7, 8};
  co_yield elements_of(std::move(temporary));
  co_yield elements_of(std::views::iota(20, 22));
}

Generator<std::string> over_texts(const std::vector<std::string>& values) { co_yield elements_of(values); }

TEST(GeneratorDelegation, GoesThroughAnyRange) {
  Ints values{1, 2};
  EXPECT_EQ(collect(over_ranges(values)), (Ints{1, 2, 7, 8, 20, 21}));
  EXPECT_EQ(values, (Ints{1, 2}));
  const std::vector<std::string> texts{"a text too long to stand in the string itself", "b"};
  EXPECT_EQ(collect(over_texts(texts)), texts);
  EXPECT_EQ(texts[0].size(), 45u);
}

Generator<int, int> summing(Ints values) {
  int sum = 0;
  for (const int value : values) sum += (co_yield value + sum).value_or(0);
}

Generator<int, int> delegating_twice() {
  co_yield elements_of(summing(Ints(2, 100)));
  const auto sent = co_yield -1;
  co_yield sent.value_or(-2);
}

TEST(GeneratorDelegation, SendGoesToTheInnermost) {
  auto generator = delegating_twice();
  EXPECT_THROW(generator.send(1), InvalidStateError);
  EXPECT_EQ(generator.next(), 100);
  EXPECT_EQ(generator.send(5), 105);
  EXPECT_EQ(generator.send(1), -1);
  EXPECT_EQ(generator.send(9), 9);
}

Generator<int, int> through_range(const Ints& values) { co_yield elements_of(values); }

TEST(GeneratorDelegation, SendIntoAPlainRangeIsAnError) {
  const Ints values{1, 2, 3};
  auto generator = through_range(values);
  EXPECT_EQ(generator.next(), 1);
  EXPECT_EQ(generator.next(), 2);
  EXPECT_THROW(generator.send(5), InvalidStateError);
  EXPECT_TRUE(generator.done());
}

Generator<int> catching_inner() {
  bool caught = false;
  try {
    co_yield 1;
  } catch (const std::runtime_error&) {
    caught = true;
  }
  co_yield caught ? 2 : 3;
}

Generator<int> catching_outer(Journal& journal) {
  bool caught = false;
  try {
    co_yield elements_of(catching_inner());
    co_yield elements_of(failing_after(1));
  } catch (const std::exception& error) {
    journal.add(error.what());
    caught = true;
  }
  co_yield caught ? 10 : 11;
}

TEST(GeneratorDelegation, ThrowGoesToTheInnermostAndOutThroughTheOthers) {
  Journal journal;
  auto generator = catching_outer(journal);
  EXPECT_EQ(generator.next(), 1);
  EXPECT_EQ(generator.throw_(std::runtime_error{"inner"}), 2);
  EXPECT_EQ(journal.text, "");
  EXPECT_EQ(generator.throw_(std::logic_error{"outer"}), 10);
  EXPECT_EQ(journal.text, "outer ");
  EXPECT_EQ(generator.next(), std::nullopt);
}

TEST(GeneratorDelegation, FailureOfTheInnerArrivesInTheOuter) {
  Journal journal;
  EXPECT_EQ(collect(catching_outer(journal)), (Ints{1, 3, 0, 10}));
  EXPECT_EQ(journal.text, "enough ");
}

Generator<int, int> with_result(Journal& journal) {
  const std::optional<std::string> result = co_yield elements_of(returning(2));
  journal.add(result.value_or("none"));
  auto ended = returning(0);
  EXPECT_EQ(ended.next(), std::nullopt);
  (void)ended.result();
  const std::optional<std::string> late = co_yield elements_of(ended);
  journal.add(late.value_or("none"));
}

TEST(GeneratorDelegation, GivesWhatTheInnerReturned) {
  Journal journal;
  auto generator = with_result(journal);
  EXPECT_EQ(generator.next(), 0);
  EXPECT_EQ(generator.send(1), 1);
  EXPECT_EQ(generator.send(2), std::nullopt);
  EXPECT_EQ(journal.text, "sum 3 none ");
}

Generator<int> marked_outer(Journal& journal, Generator<int> inner) {
  const Mark mark{journal, "delegating"};
  co_yield elements_of(std::move(inner));
}

TEST(GeneratorDelegation, DestroyedHalfWayDestroysTheInnermostFirst) {
  Journal journal;
  {
    auto generator = marked_outer(journal, marked_outer(journal, with_marks(journal, Mark{journal, "parameter"})));
    EXPECT_EQ(generator.next(), 0);
    EXPECT_EQ(journal.text, "");
  }
  EXPECT_EQ(journal.text, "~inner0 ~outer ~parameter ~delegating ~delegating ");
}

TEST(GeneratorDelegation, CloseEndsTheInnermostFirst) {
  Journal journal;
  auto generator = marked_outer(journal, with_marks(journal, Mark{journal, "parameter"}));
  EXPECT_EQ(generator.next(), 0);
  generator.close();
  EXPECT_EQ(journal.text, "~inner0 ~outer ~parameter ~delegating ");
  EXPECT_EQ(generator.next(), std::nullopt);
}

Generator<int> after_inner(Journal& journal, int answer) {
  co_yield elements_of(noting_exit(journal, answer));
  journal.add("goes-on");
  co_yield 5;
}

TEST(GeneratorDelegation, CloseEndsTheOuterThoughTheInnerSwallowsIt) {
  Journal journal;
  auto generator = after_inner(journal, 0);
  EXPECT_EQ(generator.next(), 1);
  EXPECT_NO_THROW(generator.close());
  EXPECT_EQ(journal.text, "exit ");
}

Generator<int> lending(Generator<int>& inner) {
  co_yield -1;
  co_yield elements_of(inner);
  co_yield -2;
}

TEST(GeneratorDelegation, MayBeToOneThatHasBegun) {
  auto inner = in_between();
  EXPECT_EQ(inner.next(), -1);
  EXPECT_EQ(inner.next(), 0);  // it delegates itself by now
  EXPECT_EQ(collect(lending(inner)), (Ints{-1, 1, 2, -2, -3, -2}));
}

TEST(GeneratorDelegation, OneThatWasLentGoesOnAloneWhenTheOuterIsDestroyed) {
  auto inner = in_between();
  {
    auto outer = lending(inner);
    EXPECT_EQ(outer.next(), -1);
    EXPECT_EQ(outer.next(), -1);
    EXPECT_EQ(outer.next(), 0);
    EXPECT_THROW(inner.next(), InvalidStateError);
    EXPECT_THROW(inner.close(), InvalidStateError);
    auto second = lending(inner);
    EXPECT_EQ(second.next(), -1);
    EXPECT_THROW(second.next(), InvalidStateError);
  }
  EXPECT_EQ(collect(inner), (Ints{1, 2, -2, -3}));
}

TEST(GeneratorDelegation, ToItselfIsAnErrorAtAnyDepth) {
  Generator<int> outer;
  struct Circle {
    static Generator<int> inner(Generator<int>& root) { co_yield elements_of(root); }
    static Generator<int> root(Generator<int>& self) { co_yield elements_of(inner(self)); }
  };
  outer = Circle::root(outer);
  EXPECT_THROW(outer.next(), InvalidStateError);
}

Generator<int> permutations_of(Ints& values, std::size_t from) {
  if (from == values.size()) {
    co_yield std::accumulate(values.begin(), values.end(), 0, [](int all, int digit) { return all * 10 + digit; });
    co_return;
  }
  for (std::size_t i = from; i < values.size(); ++i) {
    std::swap(values[from], values[i]);
    co_yield elements_of(permutations_of(values, from + 1));
    std::swap(values[from], values[i]);
  }
}

TEST(GeneratorDelegation, Recurses) {
  Ints values{1, 2, 3};
  EXPECT_EQ(collect(permutations_of(values, 0)), (Ints{123, 132, 213, 231, 321, 312}));
}

// The sieve of chained generators, from CPython's tests.
Generator<int> without_multiples(Generator<int> numbers, int prime) {
  for (const int number : numbers) {
    if (number % prime != 0) co_yield number;
  }
}

Generator<int> primes() {
  auto numbers = naturals();
  numbers.next();
  numbers.next();
  for (;;) {
    const int prime = *numbers.next();
    co_yield prime;
    numbers = without_multiples(std::move(numbers), prime);
  }
}

TEST(Generator, ChainsSieveForPrimes) {
  EXPECT_EQ(collect(primes() | std::views::take(10)), (Ints{2, 3, 5, 7, 11, 13, 17, 19, 23, 29}));
}

// ---- threads and fibers ----------------------------------------------------------------------------------------------

class GeneratorIn : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(GeneratorIn);

Generator<int> blocking_each_time(Queue<int>& numbers) {
  for (;;) {
    yield();
    const int number = numbers.get();
    if (number < 0) co_return;
    co_yield number;
  }
}

TEST_P(GeneratorIn, MayBlockInItsBody) {
  in_world([](World& world) {
    Queue<int> numbers{1};
    const int count = rounds(300);
    Runner producer = world.spawn([&] {
      for (int i = 0; i < count; ++i) numbers.put(i);
      numbers.put(-1);
    });
    int expected = 0;
    for (const int number : blocking_each_time(numbers)) EXPECT_EQ(number, expected++);
    EXPECT_EQ(expected, count);
    EXPECT_EQ(producer.join(), Ending::Returned);
  });
}

TEST_P(GeneratorIn, GoesFromOneContextToAnother) {
  in_world([](World& world) {
    Queue<Generator<int>> hand{1};
    const int laps = rounds(200);
    hand.put(naturals());
    auto runners = world.spawn_many(2, [&](int) {
      for (int i = 0; i < laps; ++i) {
        Generator<int> generator = hand.get();
        const int number = *generator.next();
        yield();
        EXPECT_EQ(generator.next(), number + 1);
        hand.put(std::move(generator));
      }
    });
    join_all(runners);
    EXPECT_EQ(hand.get().next(), 4 * laps);
  });
}

Generator<int> waiting(Event& begun, Event& event, Journal& journal) {
  const Mark mark{journal, "waiting"};
  co_yield 1;
  begun.set();
  event.wait();
  co_yield 2;
}

TEST_P(GeneratorIn, IsUnwoundByAKillOfItsCaller) {
  in_world([](World& world) {
    Journal journal;
    Event begun;
    Event never;
    auto generator = waiting(begun, never, journal);
    Runner runner = world.spawn([&] {
      EXPECT_EQ(generator.next(), 1);
      generator.next();
    });
    begun.wait();
    ASSERT_TRUE(runner.soon_waits_in(detail::WaitKind::Event));
    runner.kill();
    EXPECT_EQ(runner.join(), Ending::Cancelled);
    EXPECT_EQ(journal.text, "~waiting ");
    EXPECT_TRUE(generator.done());
  });
}

TEST_P(GeneratorIn, AskedByAnotherWhileItBlocksIsAnError) {
  if (GetParam().of != WorldKind::Of::Fibers || GetParam().workers != 1) GTEST_SKIP() << "only where they take turns";
  in_world([](World& world) {
    Journal journal;
    Event begun;
    Event go;
    auto generator = waiting(begun, go, journal);
    Runner runner = world.spawn([&] {
      EXPECT_EQ(generator.next(), 1);
      EXPECT_EQ(generator.next(), 2);
    });
    begun.wait();
    EXPECT_THROW(generator.next(), InvalidStateError);
    EXPECT_THROW(generator.close(), InvalidStateError);
    go.set();
    EXPECT_EQ(runner.join(), Ending::Returned);
    EXPECT_EQ(generator.next(), std::nullopt);
  });
}

}  // namespace
}  // namespace weft::test
