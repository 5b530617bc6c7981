#include <weft/futures/executor.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/scope.hpp>

#include "futures/kinds.hpp"
#include "support/eventually.hpp"

// How executors end, fill up and get stuck: alike for all.
namespace weft::test {
namespace {

template <class Kind>
class ExecutorEnd : public testing::Test {};
TYPED_TEST_SUITE(ExecutorEnd, ExecutorKinds);

TYPED_TEST(ExecutorEnd, ShutdownFinishesTheWorkAndRefusesMore) {
  TypeParam::run([](auto make) {
    std::atomic<int> done{0};
    auto pool = make(2);
    std::vector<Future<int>> futures;
    for (int i = 0; i < 30; ++i) {
      futures.push_back(pool->submit([&done, i] {
        sleep_for(100us);
        ++done;
        return i;
      }));
    }
    pool->shutdown();
    EXPECT_EQ(done, 30);
    EXPECT_THROW((void)pool->submit(twice, 1), ShutDown);
    pool->shutdown();
    for (int i = 0; i < 30; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get(), i) << "results stay readable";
    pool.reset();
  });
}

TYPED_TEST(ExecutorEnd, ShutdownMayCancelWhatHasNotBegun) {
  TypeParam::run([](auto make) {
    Event go;
    Event begun;
    auto pool = make(1);
    Future<int> first = pool->submit([&] {
      begun.set();
      go.wait();
      return 1;
    });
    begun.wait();
    std::vector<Future<int>> others;
    for (int i = 0; i < 5; ++i) others.push_back(pool->submit(twice, i));
    pool->shutdown({.wait = false, .cancel_pending = true});
    for (Future<int>& other : others) EXPECT_TRUE(other.cancelled());
    EXPECT_FALSE(first.done());
    go.set();
    EXPECT_EQ(first.get(), 1);
  });
}

TYPED_TEST(ExecutorEnd, ShutdownNeedNotWait) {
  TypeParam::run([](auto make) {
    auto go = std::make_shared<Event>();
    auto pool = make(1);
    Future<int> first = pool->submit([go] {
      go->wait();
      return 1;
    });
    Future<int> second = pool->submit(twice, 4);
    pool->shutdown({.wait = false});
    EXPECT_THROW((void)pool->submit(twice, 1), ShutDown);
    go->set();
    EXPECT_EQ(second.get(), 8) << "what was in line is done";
    EXPECT_EQ(first.get(), 1);
  });
}

TYPED_TEST(ExecutorEnd, TheDestructorFinishesTheWork) {
  TypeParam::run([](auto make) {
    std::atomic<int> done{0};
    {
      auto pool = make(2);
      for (int i = 0; i < 20; ++i) {
        (void)pool->submit([&] {
          sleep_for(100us);
          ++done;
        });
      }
    }
    EXPECT_EQ(done, 20);
  });
}

TYPED_TEST(ExecutorEnd, AnExceptionThatUnwindsCallsOffWhatHasNotBegun) {
  TypeParam::run([](auto make) {
    Event begun;
    Event called_off;
    std::atomic<int> ran{0};
    std::vector<Future<void>> futures;
    EXPECT_THROW(
        {
          auto pool = make(1);
          futures.push_back(pool->submit([&] {
            begun.set();
            called_off.wait();
            ++ran;
          }));
          for (int i = 0; i < 10; ++i) futures.push_back(pool->submit([&] { ++ran; }));
          futures.back().add_done_callback([&](auto&) { called_off.set(); });
          begun.wait();
          throw Unlucky{"in the caller"};
        },
        Unlucky);
    EXPECT_EQ(ran, 1);
    for (std::size_t i = 1; i < futures.size(); ++i) EXPECT_TRUE(futures[i].cancelled());
  });
}

TYPED_TEST(ExecutorEnd, WorkMaySubmitWork) {
  TypeParam::run([](auto make) {
    std::atomic<int> done{0};
    Event all;
    auto pool = make(2);
    std::function<void(int)> grow = [&](int depth) {
      if (++done == 127) all.set();
      if (depth == 0) return;
      for (int i = 0; i < 2; ++i) (void)pool->submit(grow, depth - 1);
    };
    (void)pool->submit(grow, 6);
    all.wait();
    pool->shutdown();
    EXPECT_EQ(done, 127);
  });
}

TYPED_TEST(ExecutorEnd, ABoundedLineMakesSubmitWait) {
  TypeParam::run([](auto make) {
    Event go;
    Event begun;
    auto pool = make(1, 2);
    std::vector<Future<void>> futures;
    futures.push_back(pool->submit([&] {
      begun.set();
      go.wait();
    }));
    begun.wait();
    for (int i = 0; i < 2; ++i) futures.push_back(pool->submit([] {}));
    {
      const DeadlineScope soon{3ms};
      EXPECT_THROW((void)pool->submit([] {}), TimeoutError);
    }
    std::atomic<bool> submitted{false};
    Runtime elsewhere{{.workers = 2, .stack_bytes = kStackBytes}};
    Fiber<void> submitter = elsewhere.spawn([&] {
      pool->submit([] {}).get();
      submitted = true;
    });
    sleep_for(3ms);
    EXPECT_FALSE(submitted);
    go.set();
    submitter.join();
    EXPECT_TRUE(submitted);
  });
}

TYPED_TEST(ExecutorEnd, ManySubmitFromManyPlaces) {
  TypeParam::run([](auto make) {
    constexpr int kSubmitters = 4, kEach = 500;
    auto pool = make(3);
    Runtime elsewhere{{.workers = 2, .stack_bytes = kStackBytes}};
    std::atomic<long> sum{0};
    std::vector<Fiber<void>> submitters;
    for (int s = 0; s < kSubmitters; ++s) {
      submitters.push_back(elsewhere.spawn([&] {
        std::vector<Future<int>> futures;
        for (int i = 1; i <= kEach; ++i) {
          futures.push_back(pool->submit(twice, i));
          if (i % 7 == 0) (void)futures[static_cast<std::size_t>(i / 2)].cancel();
        }
        for (Future<int>& future : futures) {
          try {
            sum += future.get();
          } catch (const CancelledError&) {
            ++sum;
          }
        }
      }));
    }
    join_all(submitters);
    EXPECT_GT(sum, 0);
    pool->shutdown();
  });
}

TYPED_TEST(ExecutorEnd, ShutdownAmongSubmissionsLosesNoneThatWasAccepted) {
  TypeParam::run([](auto make) {
    for (int round = 0; round < 20; ++round) {
      auto pool = make(2);
      std::atomic<int> accepted{0};
      std::atomic<int> ran{0};
      Runtime elsewhere{{.workers = 2, .stack_bytes = kStackBytes}};
      std::vector<Fiber<void>> submitters;
      for (int s = 0; s < 2; ++s) {
        submitters.push_back(elsewhere.spawn([&] {
          try {
            for (int i = 0; i < 300; ++i) {
              (void)pool->submit([&] { ++ran; });
              ++accepted;
              yield();
            }
          } catch (const ShutDown&) {
          }
        }));
      }
      EXPECT_TRUE(eventually([&] { return accepted > 20; }));
      pool->shutdown();
      join_all(submitters);
      EXPECT_EQ(ran, accepted);
    }
  });
}

TYPED_TEST(ExecutorEnd, NothingIsLeftInLineHoweverRoomIsTakenAndGivenBack) {
  TypeParam::run([](auto make) {
    for (int round = 0; round < 30; ++round) {
      auto pool = make(1);
      std::atomic<int> ran{0};
      Runtime elsewhere{{.workers = 2, .stack_bytes = kStackBytes}};
      std::vector<Fiber<void>> submitters;
      for (int s = 0; s < 3; ++s) {
        submitters.push_back(elsewhere.spawn([&] {
          for (int i = 0; i < 50; ++i) (void)pool->submit([&] { ++ran; });
        }));
      }
      join_all(submitters);
      pool->shutdown();
      EXPECT_EQ(ran, 150);
    }
  });
}

TYPED_TEST(ExecutorEnd, WaitingForOnesOwnLineIsADeadlockThatNamesThePool) {
  TypeParam::run([](auto make) {
    auto pool = make(2);
    // Two workers, each of which waits for work behind both of them.
    Event both_run;
    std::atomic<int> running{0};
    std::atomic<int> deadlocks{0};
    const auto wait_for_another = [&] {
      if (++running == 2) both_run.set();
      both_run.wait();
      try {
        return pool->submit(twice, 1).get();
      } catch (const DeadlockError& error) {
        ++deadlocks;
        const std::string text = error.what();
        EXPECT_NE(text.find("2 contexts wait for each other"), std::string::npos) << text;
        EXPECT_NE(text.find("\"pool\" (2 workers)"), std::string::npos) << text;
        return 0;
      }
    };
    Future<int> one = pool->submit(wait_for_another);
    Future<int> two = pool->submit(wait_for_another);
    EXPECT_EQ(one.get() + two.get(), 2) << "the other's work is done by the one that threw";
    EXPECT_EQ(deadlocks, 1);
  });
}

// One worker, whose work puts more in line than there is room for.
TYPED_TEST(ExecutorEnd, WaitingForRoomInOnesOwnLineIsADeadlockThatNamesThePool) {
  TypeParam::run([](auto make) {
    auto pool = make(1, 1);
    std::string text;
    Future<int> stuck = pool->submit([&] {
      Future<int> in_line = pool->submit(twice, 1);
      try {
        (void)pool->submit(twice, 2);
      } catch (const DeadlockError& error) {
        text = error.what();
      }
      return 1;
    });
    EXPECT_EQ(stuck.get(), 1);
    EXPECT_NE(text.find("room in line at "), std::string::npos) << text;
    EXPECT_NE(text.find("\"pool\" (1 worker)"), std::string::npos) << text;
    EXPECT_EQ(pool->submit(twice, 4).get(), 8) << "the line moves on";
  });
}

}  // namespace
}  // namespace weft::test
