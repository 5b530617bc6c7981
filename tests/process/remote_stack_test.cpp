// Where an exception was thrown that comes back from another process.

#include <weft/base/error.hpp>

#include <pthread.h>
#include <unwind.h>

#include <algorithm>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <typeinfo>

#include <gtest/gtest.h>

#include <weft/futures/thread_pool_executor.hpp>
#include <weft/process/pool.hpp>
#include <weft/process/process.hpp>
#include <weft/process/process_pool_executor.hpp>

#include "port/debug_info.hpp"
#include "process/process_kinds.hpp"
#include "process/sending/remote_failure.hpp"
#include "process/sending/thrown_stack.hpp"

namespace weft::test {

// Of external linkage, so that they have names without debug information too; neither inlined nor left by a jump.
[[gnu::noinline]] int throw_where_it_is_deep(int calls) {
  if (calls == 0) throw Unlucky{"deep down"};
  const int result = throw_where_it_is_deep(calls - 1) + 1;
  asm volatile("");
  return result;
}
[[gnu::noinline]] int throw_out_of_range_below(int at) {
  if (at >= 0) throw std::out_of_range{"at " + std::to_string(at)};
  return at;
}
[[gnu::noinline]] int call_what_throws(int at) {
  const int result = throw_out_of_range_below(at) + 1;
  asm volatile("");
  return result;
}
[[gnu::noinline]] int throw_again(int at) {
  try {
    return call_what_throws(at);
  } catch (const std::exception&) {
    throw;
  }
}
[[gnu::noinline]] int throw_another(int at) {
  try {
    return call_what_throws(at);
  } catch (const std::exception&) {
    throw Unlucky{"in the handler"};
  }
}
[[gnu::noinline]] int throw_with_one_nested(int at) {
  try {
    return call_what_throws(at);
  } catch (const std::exception&) {
    std::throw_with_nested(Unlucky{"around it"});
  }
}
[[gnu::noinline]] int throw_what_a_thread_threw(int at) {
  ThreadPoolExecutor threads{1};
  const int result = threads.submit(call_what_throws, at).get();
  asm volatile("");
  return result;
}
[[gnu::noinline]] int throw_after_catching(int at) {
  for (int i = 0; i < 3; ++i) {
    try {
      (void)throw_where_it_is_deep(3);
    } catch (const Unlucky&) {
    }
  }
  return call_what_throws(at);
}

namespace {

bool can_name_functions() {
#if defined(__x86_64__) || defined(__aarch64__)
  return port::DebugInfo{}
             .function_of(reinterpret_cast<std::uintptr_t>(&call_what_throws))
             .find("call_what_throws") != std::string::npos;
#else
  return false;
#endif
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}
bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// What is known of what it throws.
template <class Call>
RemoteError origin_of(Call call) {
  try {
    call();
  } catch (const std::exception& error) {
    if (const RemoteError* origin = remote_origin(error)) return *origin;
    ADD_FAILURE() << "not from another process: " << error.what();
  }
  ADD_FAILURE() << "nothing thrown";
  return {"", "", ""};
}

class RemoteStacks : public testing::TestWithParam<StartMethod> {
 protected:
  void SetUp() override {
    if (!can_name_functions()) GTEST_SKIP() << "functions have no names here: libdw is not installed";
  }
  template <class F>
  RemoteError origin(F callable, int argument) {
    return origin_of([&] { (void)pool_.submit(callable, argument).get(); });
  }

  ProcessPoolExecutor pool_{{.max_workers = 1, .name = "far", .start_method = GetParam()}};
};
INSTANTIATE_TEST_SUITE_P(, RemoteStacks,
                         testing::Values(StartMethod::Fork, StartMethod::Spawn, StartMethod::Forkserver),
                         [](const auto& tested) { return std::string{process::to_string(tested.param)}; });

TEST_P(RemoteStacks, BeginWithTheThrow) {
  const RemoteError origin = this->origin(throw_where_it_is_deep, 3);
  EXPECT_EQ(origin.type(), "weft::test::Unlucky");
  const std::string stack = origin.stack();
  EXPECT_TRUE(first_line(stack).starts_with("  at weft::test::throw_where_it_is_deep(int) (")) << stack;
  std::size_t calls = 0;
  for (std::size_t at = 0; (at = stack.find("throw_where_it_is_deep", at)) != std::string::npos; ++at)
    ++calls;
  EXPECT_EQ(calls, 4u) << stack;
  EXPECT_TRUE(holds(stack, "remote_stack_test.cpp:")) << stack;
  EXPECT_FALSE(holds(stack, "run_sent")) << stack;  // weft's own, on the way to the task
}

TEST_P(RemoteStacks, OfStandardTypesAreInWhatIsNested) {
  try {
    (void)pool_.submit(call_what_throws, 7).get();
    ADD_FAILURE() << "nothing thrown";
  } catch (const std::out_of_range& error) {
    EXPECT_STREQ(error.what(), "at 7");
    try {
      std::rethrow_if_nested(error);
      ADD_FAILURE() << "nothing nested";
    } catch (const RemoteError& origin) {
      EXPECT_EQ(&origin, remote_origin(error));
      EXPECT_EQ(origin.type(), "std::out_of_range");
      EXPECT_EQ(origin.message(), "at 7");
      EXPECT_TRUE(holds(origin.place(), "call_what_throws(int) in far_0 (pid ")) << origin.place();
      const std::string stack = origin.stack();
      EXPECT_TRUE(holds(first_line(stack), "throw_out_of_range_below(int)")) << stack;
      EXPECT_TRUE(holds(stack, "  called from weft::test::call_what_throws(int) (")) << stack;
    }
  }
  EXPECT_TRUE(holds(
      origin_of([&] { (void)pool_.submit([](int) -> int { throw std::bad_alloc{}; }, 1).get(); }).stack(),
      "remote_stack_test.cpp:"));
}

TEST_P(RemoteStacks, AreOfTheLastThrow) {
  const std::string again = origin(throw_again, 1).stack();
  EXPECT_TRUE(holds(first_line(again), "throw_again(int)")) << again;
  EXPECT_FALSE(holds(again, "throw_out_of_range_below")) << again;
  const std::string another = origin(throw_another, 1).stack();
  EXPECT_TRUE(holds(first_line(another), "throw_another(int)")) << another;
  const std::string future = origin(throw_what_a_thread_threw, 1).stack();
  EXPECT_TRUE(holds(future, "throw_what_a_thread_threw(int)")) << future;
  EXPECT_FALSE(holds(future, "throw_out_of_range_below")) << future;
  const std::string later = origin(throw_after_catching, 1).stack();
  EXPECT_TRUE(holds(first_line(later), "throw_out_of_range_below(int)")) << later;
  EXPECT_FALSE(holds(later, "throw_where_it_is_deep")) << later;
}

TEST_P(RemoteStacks, SayWhatIsNested) {
  const std::string stack = origin(throw_with_one_nested, 5).stack();
  EXPECT_TRUE(holds(stack, "throw_with_one_nested(int)")) << stack;
  EXPECT_TRUE(holds(stack, "\n  with a nested std::out_of_range: at 5\n")) << stack;
}

TEST_P(RemoteStacks, OfManyCallsAreCutOff) {
  const std::string stack = origin(throw_where_it_is_deep, 1000).stack();
  EXPECT_TRUE(stack.ends_with("\n  and so on\n")) << stack;
  EXPECT_LT(std::count(stack.begin(), stack.end(), '\n'), 80);
}

TEST_P(RemoteStacks, AreThereForExceptionsOfOtherLanguages) {
  const auto raise = [](int) {
    static _Unwind_Exception foreign{};
    foreign.exception_class = 0x574546'54455354;
    _Unwind_RaiseException(&foreign);
    return 0;
  };
  const RemoteError origin = this->origin(raise, 1);
  EXPECT_EQ(origin.type(), "an exception of another language");
  EXPECT_TRUE(holds(origin.stack(), "remote_stack_test.cpp:")) << origin.stack();
  EXPECT_EQ(pool_.submit(twice, 21).get(), 42);
}

TEST_P(RemoteStacks, NobodyHasOfAThreadThatEndsItself) {
  // Its forced unwinding must not be stopped, and a worker is nothing without its thread.
  EXPECT_THROW((void)pool_.submit([](int) -> int { ::pthread_exit(nullptr); }, 1).get(), WorkerDied);
  EXPECT_EQ(pool_.submit(twice, 21).get(), 42);
}

TEST_P(RemoteStacks, OfPoolsAreThoseOfExecutors) {
  process::Pool pool{{.processes = 1, .start_method = GetParam()}};
  const RemoteError origin = origin_of([&] { (void)pool.apply(call_what_throws, 2); });
  EXPECT_TRUE(holds(first_line(origin.stack()), "throw_out_of_range_below(int)")) << origin.stack();
  const RemoteError mapped = origin_of([&] { (void)pool.map(call_what_throws, std::vector<int>{1, 2, 3}); });
  EXPECT_TRUE(holds(first_line(mapped.stack()), "throw_out_of_range_below(int)")) << mapped.stack();
}

// ---- without a process -----------------------------------------------------------------------------------------------

std::exception_ptr passed_on(const std::exception_ptr& failure, const std::string& place,
                             std::span<const std::uintptr_t> callers = {}) {
  process::Outgoing out;
  detail::send_failure(out, failure, callers);
  process::Incoming in{out.bytes()};
  return detail::receive_failure(in, [&] { return place; });
}

template <class E>
void keeps_its_type(const E& thrown) {
  const std::exception_ptr twice_passed_on =
      passed_on(passed_on(std::make_exception_ptr(thrown), "the first"), "the second");
  try {
    std::rethrow_exception(twice_passed_on);
  } catch (const E& error) {
    EXPECT_STREQ(error.what(), thrown.what());
    const RemoteError* const origin = remote_origin(error);
    ASSERT_NE(origin, nullptr);
    EXPECT_EQ(origin->type(), detail::readable_type(typeid(E).name()));
    EXPECT_EQ(origin->place(), "the second");
    EXPECT_TRUE(holds(origin->stack(), "  thrown first by the first\n")) << origin->stack();
  } catch (...) {
    ADD_FAILURE() << typeid(E).name() << " became another";
  }
}

TEST(RemoteStack, KeepsTypesThroughSeveralProcesses) {
  keeps_its_type(std::runtime_error{"as it was"});
  keeps_its_type(std::out_of_range{"as it was"});
  keeps_its_type(std::bad_alloc{});
  keeps_its_type(std::system_error{std::make_error_code(std::errc::timed_out), "waiting"});
  keeps_its_type(OSError{ENOENT, "open", "/nowhere"});
  keeps_its_type(WorkerDied{"count()", "far_0", 17, 9, 0});
  keeps_its_type(TimeoutError{"too late"});
}

TEST(RemoteStack, OfARemoteErrorThatIsPassedOnSaysWhereItWasThrownFirst) {
  try {
    std::rethrow_exception(
        passed_on(passed_on(std::make_exception_ptr(Unlucky{"no luck"}), "the first"), "the second"));
  } catch (const RemoteError& error) {
    EXPECT_EQ(error.type(), "weft::test::Unlucky");
    EXPECT_EQ(error.place(), "the first");
    EXPECT_TRUE(holds(error.stack(), "thrown first by the first\n")) << error.stack();
  }
}

TEST(RemoteStack, NamesCodeThatIsNotLoadedHere) {
  const std::uintptr_t nowhere[] = {0x10};
  try {
    std::rethrow_exception(passed_on(std::make_exception_ptr(Unlucky{"no luck"}), "afar", nowhere));
  } catch (const RemoteError& error) {
    EXPECT_EQ(error.stack(), "  at 0x10\n");
  }
}

TEST(RemoteStack, IsNotThereForWhatWasThrownHere) {
  EXPECT_EQ(remote_origin(std::runtime_error{"here"}), nullptr);
  EXPECT_EQ((RemoteError{"T", "m", "p"}.stack()), "");
  try {
    std::throw_with_nested(std::logic_error{"x"});
  } catch (const std::exception& error) {
    EXPECT_EQ(remote_origin(error), nullptr);
  }
}

TEST(RemoteStack, ThatMakesNoSenseIsRefused) {
  process::Outgoing out;
  out(std::vector<std::uint64_t>{}, std::vector<std::string>{}, std::vector<std::uint64_t>{1},
      std::vector<std::uint8_t>{5}, std::string{});
  process::Incoming in{out.bytes()};
  EXPECT_THROW((void)detail::receive_stack(in), ProtocolError);
}

}  // namespace
}  // namespace weft::test
