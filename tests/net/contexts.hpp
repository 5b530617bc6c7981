// Net tests run three times over: on plain threads, on fibers of one worker, on fibers of two.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/sync/event.hpp>

namespace weft::test {

using namespace std::chrono_literals;

// No wait in these tests is longer; what takes longer hangs.
constexpr auto kPatience = 20s;

enum class ContextKind { Thread, OneWorker, TwoWorkers };

inline std::string name_of(ContextKind kind) {
  switch (kind) {
    case ContextKind::Thread:
      return "Thread";
    case ContextKind::OneWorker:
      return "OneWorker";
    case ContextKind::TwoWorkers:
      return "TwoWorkers";
  }
  return "?";
}

// Something that runs beside the test, on a thread or on a fiber like the test itself.
class Task {
 public:
  template <class F>
  Task(ContextKind kind, F body) : state_{std::make_shared<State>()} {
    auto run = [state = state_, body = std::move(body)]() mutable {
      try {
        body();
        state->finished = true;
      } catch (const std::exception&) {
        state->failure = std::current_exception();
      }
      state->done.set();
    };
    if (kind == ContextKind::Thread) {
      thread_ = std::thread{std::move(run)};
    } else {
      fiber_.emplace(spawn(std::move(run)));
    }
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    await();
    if (thread_.joinable()) thread_.join();
  }

  // Waits for the end, and throws what ended it.
  void join() {
    await();
    if (state_->failure) std::rethrow_exception(std::exchange(state_->failure, nullptr));
  }
  [[nodiscard]] bool is_done_within(Duration patience) {
    return fiber_ ? fiber_->join_for(patience) : state_->done.wait_for(patience);
  }
  // Whether the body came to its end (neither failed nor was killed).
  [[nodiscard]] bool finished() {
    await();
    return state_->finished;
  }
  void kill() { fiber_->kill(); }

 private:
  struct State {  // shared by the handle and the callable
    Event done;  // of a thread; a fiber is joined
    std::exception_ptr failure;
    bool finished = false;
  };

  void await() {
    if (is_done_within(kPatience)) return;
    std::fprintf(stderr, "a task hangs in %s\n",
                 ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::abort();
  }

  std::shared_ptr<State> state_;
  std::thread thread_;
  std::optional<Fiber<void>> fiber_;
};

class ContextTest : public ::testing::TestWithParam<ContextKind> {
 protected:
  [[nodiscard]] static bool on_fibers() { return GetParam() != ContextKind::Thread; }

  template <class F>
  void run(F body) {
    if (!on_fibers()) {
      body();
    } else {
      Runtime runtime{{.workers = GetParam() == ContextKind::OneWorker ? 1u : 2u}};
      runtime.run(std::move(body));
    }
  }
  template <class F>
  [[nodiscard]] static Task start(F body) {
    return Task{GetParam(), std::move(body)};
  }
};

#define WEFT_INSTANTIATE_CONTEXTS(Suite)                                                                      \
  INSTANTIATE_TEST_SUITE_P(, Suite,                                                                           \
                           ::testing::Values(::weft::test::ContextKind::Thread, ::weft::test::ContextKind::OneWorker, \
                                             ::weft::test::ContextKind::TwoWorkers),                          \
                           [](const auto& instance) { return ::weft::test::name_of(instance.param); })

}  // namespace weft::test
