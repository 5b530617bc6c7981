// Each of these failed once. Found by reading the engine with a hostile eye before its first release.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cfenv>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

constexpr auto kSoon = 20s;

/// Runs `child` in a forked process: its exit status, or minus the signal it died of; -1000 when it did not end in time.
template <class Child>
int in_child(Child child) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::alarm(20);
    child();
    ::_exit(0);
  }
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid) return -1000;
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

// A worker that polled in passing took the wake-up of the one that slept before the reactor; nobody was woken any more.
TEST(EngineReview, HandInsWakeAWorkerWhileAnotherPollsInPassing) {
  weft::Runtime runtime{{.workers = 2}};
  for (int round = 0; round < 300; ++round) {
    auto busy = runtime.spawn([] {
      for (int i = 0; i < 400; ++i) weft::yield();
    });
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(runtime.spawn([] {}).join_for(kSoon));
    ASSERT_TRUE(busy.join_for(kSoon));
  }
}

// "Was killed" was lost when the killer let go of the task's list bit after the fiber had unwound.
TEST(EngineReview, AKilledFiberNeverLooksAsIfItHadReturned) {
  weft::Runtime runtime{{.workers = 2}};
  for (int i = 0; i < 3000; ++i) {
    auto fiber = runtime.spawn([] { weft::sleep_until(weft::Deadline::never()); });
    if (i % 2) std::this_thread::yield();
    fiber.kill();
    EXPECT_THROW(fiber.get(), weft::CancelledError);
  }
}

// The monitor went to sleep after a second of quiet and never woke: nobody then helped a worker that did not switch.
TEST(EngineReview, AFiberBehindALongOneIsStolenAfterTheRuntimeHasBeenQuiet) {
  weft::Runtime runtime{{.workers = 2}};
  runtime.spawn([] {}).join();
  std::this_thread::sleep_for(2500ms);  // time is the subject: the monitor sleeps after a good second
  std::atomic<bool> second_ran{false};
  auto first = runtime.spawn([&] {
    auto second = weft::spawn([&] { second_ran = true; });
    const auto end = weft::Clock::now() + kSoon;
    while (!second_ran && weft::Clock::now() < end) {
    }
    return second_ran.load();
  });
  EXPECT_TRUE(first.get());
}

TEST(EngineReview, ASocketThatWasWaitedOnCanBeClosedInAForkedChild) {
  auto [here, there] = weft::Socket::socketpair();
  weft::Runtime runtime{{.workers = 2}};
  runtime.run([&, &socket = here] {
    char byte = 0;
    EXPECT_THROW((void)socket.recv_into(&byte, 1, weft::Deadline::after(10ms)), weft::TimeoutError);
  });
  EXPECT_EQ(in_child([&, &socket = here] { socket.close(); }), 0);
}

TEST(EngineReview, ASocketThatWasWaitedOnWakesAFiberOfAForkedChild) {
  auto [here, there] = weft::Socket::socketpair();
  weft::Runtime runtime{{.workers = 2}};
  runtime.run([&, &socket = here] {
    char byte = 0;
    EXPECT_THROW((void)socket.recv_into(&byte, 1, weft::Deadline::after(10ms)), weft::TimeoutError);
  });
  EXPECT_EQ(in_child([&, &reader_end = here, &writer_end = there] {
              weft::Runtime mine{{.workers = 2}};
              auto reader = mine.spawn([&] {
                char byte = 0;
                return reader_end.recv_into(&byte, 1) == 1 && byte == 'x';
              });
              auto writer = mine.spawn([&] {
                weft::sleep_for(20ms);
                writer_end.send_all("x");
              });
              const bool read = reader.get();
              writer.join();
              ::_exit(read ? 0 : 1);
            }),
            0);
}

// The user's destructors ran on a fiber that had no task any more.
TEST(EngineReview, AResultThatBlocksInItsDestructorMayOutliveItsHandle) {
  struct Blocks {
    std::unique_ptr<std::atomic<int>*> counted;
    explicit Blocks(std::atomic<int>& count) : counted{std::make_unique<std::atomic<int>*>(&count)} {}
    Blocks(Blocks&&) = default;
    ~Blocks() {
      if (!counted) return;
      weft::sleep_for(5ms);
      ++**counted;
    }
  };
  std::atomic<int> destroyed{0};
  {
    weft::Runtime runtime{{.workers = 2}};
    weft::Event go;
    for (int i = 0; i < 20; ++i) {
      (void)runtime.spawn([&] {
        go.wait();
        return Blocks{destroyed};
      });
    }
    go.set();
    // The runtime's end waits for all of them; those that were killed while waiting have no result.
    runtime.run([] { weft::sleep_for(100ms); });
  }
  EXPECT_EQ(destroyed, 20);
}

TEST(EngineReview, WhatAFiberKilledBeforeItsStartHeldIsReleasedWhenItEnds) {
  weft::Runtime runtime{{.workers = 1}};
  auto held = std::make_shared<int>(1);
  auto fiber = runtime.spawn([held] {});
  fiber.kill();
  runtime.run([] { weft::yield(); });
  EXPECT_TRUE(fiber.done());
  EXPECT_EQ(held.use_count(), 1);
}

TEST(EngineReview, ARuntimeOfOneWorkerMayEndInsideAFiberOfAnother) {
  weft::Runtime outer{{.workers = 2}};
  outer.run([] {
    weft::Runtime inner{{.workers = 1}};
    auto parked = inner.spawn([] { weft::sleep_until(weft::Deadline::never()); });
    inner.run([] { weft::yield(); });
    EXPECT_FALSE(parked.done());
  });
}

TEST(EngineReview, TheEndOfAThreadMaySpawnAndJoinFibers) {
  weft::Runtime runtime{{.workers = 2}};
  static weft::Runtime* shared = nullptr;
  shared = &runtime;
  static std::atomic<int> ran{0};
  struct Late {
    ~Late() {
      for (int i = 0; i < 200; ++i) shared->spawn([] { ++ran; }).join();
    }
  };
  for (int i = 0; i < 20; ++i) {
    std::thread{[] {
      thread_local Late late;
      (void)&late;
      shared->spawn([] {}).join();
    }}.join();
  }
  EXPECT_EQ(ran, 20 * 200);
}

TEST(EngineReview, ACallableIsAlignedAsItAsks) {
  struct alignas(128) Wide {
    char bytes[128];
  };
  weft::Runtime runtime{{.workers = 1}};
  for (int i = 0; i < 64; ++i) {
    auto fiber = runtime.spawn([wide = Wide{}] { return reinterpret_cast<std::uintptr_t>(&wide) % 128; });
    EXPECT_EQ(runtime.run([&] { return fiber.get(); }), 0U);
  }
}

TEST(EngineReview, AFreshFiberRoundsToNearestWhateverRanOnItsStackBefore) {
  weft::Runtime runtime{{.workers = 1}};
  runtime.run([] {
    auto first = weft::spawn([] { std::fesetround(FE_UPWARD); });
    auto second = weft::spawn([] { return std::fegetround(); });
    first.join();
    EXPECT_EQ(second.get(), FE_TONEAREST);
  });
}

TEST(EngineReview, AWaitOfNoTimeReturnsOnABusyWorker) {
  weft::Runtime runtime{{.workers = 1}};
  runtime.run([] {
    weft::Event never;
    auto busy = weft::spawn([] {
      for (int i = 0; i < 3; ++i) weft::yield();
    });
    for (int i = 0; i < 1000; ++i) EXPECT_FALSE(never.wait_for(0s));
    busy.join();
  });
}

// Released by the last of two users at the very moment its memory went to another socket, it closed that one.
TEST(EngineReview, ClosingWhileOthersLeaveClosesNoStrangersDescriptor) {
  weft::Runtime runtime{{.workers = 2}};
  std::atomic<int> failures{0};
  auto churn = [&] {
    for (int i = 0; i < 300; ++i) {
      auto [left, right] = weft::Socket::socketpair();
      auto reader = weft::spawn([&, &socket = left] {
        try {
          char byte = 0;
          while (socket.recv_into(&byte, 1) == 1) {
          }
        } catch (const weft::OSError&) {
        }
      });
      right.send_all("x");
      left.close();
      reader.join();
      if (::fcntl(right.fd(), F_GETFD) < 0) ++failures;
    }
  };
  auto a = runtime.spawn(churn);
  auto b = runtime.spawn(churn);
  ASSERT_TRUE(a.join_for(60s));
  ASSERT_TRUE(b.join_for(60s));
  EXPECT_EQ(failures, 0);
}

}  // namespace
