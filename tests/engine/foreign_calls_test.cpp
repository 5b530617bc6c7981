// What the engine does for libweft-patch.so: waits for descriptors that are not weft's, on the thread where they began.
#include "engine/foreign_calls.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <utility>
#include <vector>

#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/scope.hpp>

#include "support/eventually.hpp"
#include "support/leaks.hpp"
#include "support/stress.hpp"
#include "support/waits_in.hpp"

namespace weft::test {
namespace {

const detail::ForeignCalls& calls = weft_foreign_calls;

std::int64_t in(std::chrono::nanoseconds time) {
  return Deadline::after(time).nanoseconds();
}
constexpr std::int64_t kNever = INT64_MAX;

int wait_for(int fd, short events, std::int64_t deadline = kNever) {
  const pollfd polled{fd, events, 0};
  return calls.wait(&polled, 1, deadline);
}

class Pair {
 public:
  Pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0); }
  ~Pair() {
    for (const int fd : ends) close_end(fd);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  static void close_end(int fd) {
    if (fd < 0) return;
    calls.closing(static_cast<unsigned>(fd), static_cast<unsigned>(fd));
    ::close(fd);
    calls.closed(static_cast<unsigned>(fd), static_cast<unsigned>(fd));
  }

  int ends[2] = {-1, -1};
};

class ForeignCalls : public LeakFree {};

TEST_F(ForeignCalls, OnlyARunningFiberIsOnOne) {
  EXPECT_FALSE(calls.on_fiber());
  EXPECT_EQ(calls.locks(), nullptr);
  Runtime runtime{{.workers = 2}};
  EXPECT_TRUE(runtime.run([] { return calls.on_fiber() && calls.locks()->count == 0; }));
  std::thread{[] { EXPECT_FALSE(calls.on_fiber()); }}.join();
}

TEST_F(ForeignCalls, WaitingFiberGoesOnOnItsThreadThoughAllOthersMove) {
  Runtime runtime{{.workers = 3, .migrate_always = true}};
  runtime.run([] {
    std::vector<Fiber<void>> fibers;
    std::atomic<int> moved{0};
    for (int i = 0; i < 24; ++i) {
      fibers.push_back(spawn([&moved] {
        const Pair pair;
        for (int round = 0; round < rounds(100); ++round) {
          const int before = ::gettid();
          auto peer = spawn([&pair] { EXPECT_EQ(::write(pair.ends[1], "x", 1), 1); });
          int helper = 0;
          switch (round % 3) {
            case 0:
              EXPECT_EQ(wait_for(pair.ends[0], POLLIN), 1);
              break;
            case 1:
              calls.sleep_until(in(std::chrono::microseconds{50}));
              break;
            default:
              EXPECT_TRUE(calls.run_on_helper([](void* thread) { *static_cast<int*>(thread) = ::gettid(); }, &helper,
                                              detail::ForeignCalls::Helpers::Blocking));
              EXPECT_NE(helper, before);
              EXPECT_NE(helper, 0);
          }
          ASSERT_EQ(::gettid(), before);
          peer.join();
          char byte = 0;
          ASSERT_EQ(::read(pair.ends[0], &byte, 1), 1);
          sleep_for(std::chrono::microseconds{20});
          if (::gettid() != before) ++moved;
        }
      }));
    }
    for (auto& fiber : fibers) fiber.get();
    EXPECT_GT(moved, 0);
  });
}

TEST_F(ForeignCalls, NeitherPinnedFibersNorOthersKeepTheWorkerForThemselves) {
  for (const unsigned workers : {1U, 2U}) {
    Runtime runtime{{.workers = workers}};
    runtime.run([] {
      std::atomic<bool> stop{false};
      std::atomic<int> yields{0};
      std::atomic<int> sleeps{0};
      std::vector<Fiber<void>> fibers;
      for (int i = 0; i < 3; ++i) {
        fibers.push_back(spawn([&] {
          for (; !stop; ++yields) yield();
        }));
        fibers.push_back(spawn([&] {
          for (; !stop; ++sleeps) calls.sleep_until(0);  // over at once: it only goes round
        }));
        fibers.push_back(spawn([&] {
          const Pair pair;
          for (; !stop; ++sleeps) EXPECT_EQ(wait_for(pair.ends[0], POLLOUT), 1);
        }));
      }
      EXPECT_TRUE(eventually([&] { return yields > 1000 && sleeps > 1000; }));
      stop = true;
      for (auto& fiber : fibers) fiber.get();
    });
  }
}

TEST_F(ForeignCalls, SleepingWorkerIsWokenForItsPinnedFiberByAnyThread) {
  for (const unsigned workers : {1U, 2U, 3U}) {
    Runtime runtime{{.workers = workers}};
    for (int round = 0; round < rounds(200); ++round) {
      std::atomic<bool> release{false};
      runtime.run([&] {
        auto helper = [](void* release_flag) {
          while (!static_cast<std::atomic<bool>*>(release_flag)->load()) std::this_thread::yield();
        };
        auto releaser = spawn([&] { release = true; });
        EXPECT_TRUE(calls.run_on_helper(helper, &release, detail::ForeignCalls::Helpers::Resolver));
        releaser.join();
      });
    }
  }
}

TEST_F(ForeignCalls, SeveralFibersWaitForOneDescriptorEachForItsOwn) {
  Runtime runtime{{.workers = 2}};
  runtime.run([] {
    const Pair pair;
    std::atomic<int> readers{0};
    std::vector<Fiber<void>> fibers;
    for (int i = 0; i < 8; ++i) {
      fibers.push_back(spawn([&] {
        char byte = 0;
        while (::recv(pair.ends[0], &byte, 1, MSG_DONTWAIT) != 1) {
          ASSERT_EQ(errno, EAGAIN);
          ASSERT_EQ(wait_for(pair.ends[0], POLLIN), 1);
        }
        ++readers;
      }));
    }
    // A writer in between neither wakes them nor makes the kernel forget them.
    for (int i = 0; i < 8; ++i) {
      EXPECT_EQ(wait_for(pair.ends[0], POLLOUT), 1);
      EXPECT_EQ(::send(pair.ends[1], "x", 1, 0), 1);
      EXPECT_TRUE(eventually([&] { return readers == i + 1; }));
    }
    for (auto& fiber : fibers) fiber.get();
    EXPECT_EQ(::fcntl(pair.ends[0], F_GETFL) & O_NONBLOCK, 0);
  });
}

TEST_F(ForeignCalls, DeadlinePassesAndLeavesNothingBehind) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    const Pair pair;
    for (int i = 0; i < 3; ++i) EXPECT_EQ(wait_for(pair.ends[0], POLLIN, in(1ms)), 0);
    const pollfd two[] = {{pair.ends[0], POLLIN, 0}, {-1, POLLIN, 0}, {pair.ends[1], POLLIN, 0}};
    EXPECT_EQ(calls.wait(two, 3, in(1ms)), 0);
    EXPECT_EQ(calls.wait(nullptr, 0, in(1ms)), 0);
    EXPECT_EQ(::send(pair.ends[1], "x", 1, 0), 1);
    EXPECT_EQ(calls.wait(two, 3, kNever), 1);
    EXPECT_EQ(two[0].revents, 0);
  });
}

TEST_F(ForeignCalls, CloseWakesWhoWaits) {
  Runtime runtime{{.workers = 2}};
  runtime.run([] {
    Pair pair;
    Whereabouts waiting[3];
    std::vector<Fiber<int>> fibers;
    for (Whereabouts& self : waiting) {
      fibers.push_back(spawn([&self, fd = pair.ends[0], events = &self == waiting ? POLLPRI : POLLIN] {
        self.am_here();
        return wait_for(fd, static_cast<short>(events));
      }));
    }
    for (const Whereabouts& fiber : waiting) {
      EXPECT_TRUE(eventually([&] { return fiber.waits_in(detail::WaitKind::Read); }));
    }
    Pair::close_end(std::exchange(pair.ends[0], -1));
    for (auto& fiber : fibers) EXPECT_EQ(fiber.get(), -EBADF);
  });
}

TEST_F(ForeignCalls, WhoBeginsToWaitDuringACloseIsToldOrLooksAgain) {
  Runtime runtime{{.workers = 2}};
  runtime.run([] {
    for (int round = 0; round < rounds(50); ++round) {
      Pair pair;
      std::atomic<bool> begun{false};
      auto fiber = spawn([&begun, fd = pair.ends[0]] {
        begun = true;
        return wait_for(fd, POLLIN);
      });
      while (!begun) yield();
      Pair::close_end(std::exchange(pair.ends[0], -1));
      const int result = fiber.get();
      EXPECT_TRUE(result == -EBADF || result == 1) << result;
    }
  });
}

TEST_F(ForeignCalls, WhatCannotBeWaitedForIsSaid) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(wait_for(file, POLLIN), -EPERM);
    ::close(file);
    EXPECT_EQ(wait_for(file, POLLIN), -EBADF);
  });
}

TEST_F(ForeignCalls, KillAndScopesWaitUntilTheCallIsOver) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    const Pair pair;
    Event begun;
    bool waited = false;
    auto fiber = spawn([&] {
      const DeadlineScope scope{1ms};
      begun.set();
      EXPECT_EQ(wait_for(pair.ends[0], POLLIN), 1);
      waited = true;
      yield();  // and here it ends
      FAIL();
    });
    begun.wait();
    fiber.kill();
    sleep_for(2ms);
    EXPECT_FALSE(waited);
    EXPECT_EQ(::send(pair.ends[1], "x", 1, 0), 1);
    fiber.join();
    EXPECT_TRUE(waited);
  });
}

}  // namespace
}  // namespace weft::test
