// Processes that use one object of each kind all the time, and are killed at random: those that are left, and those
// that take the place of the dead, go on.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <random>
#include <stop_token>
#include <thread>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/process/barrier.hpp>
#include <weft/process/bounded_semaphore.hpp>
#include <weft/process/condition.hpp>
#include <weft/process/event.hpp>
#include <weft/process/semaphore.hpp>

#include "process/memory/process_stamp.hpp"
#include "process/sync_child.hpp"
#include "support/stress.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

constexpr int kProcesses = 4;

/// What all of them see.
struct Progress {
  std::atomic<bool> stop{false};
  std::atomic<bool> wrong{false};
  std::atomic<int> steps{0};
};

/// Runs the step in children, each in its main thread and in a fiber, again and again; kills one after the other;
/// after each, the others must go on, and at the end all must end.
class KilledAtRandom : public testing::Test {
 protected:
  void run(const std::function<void()>& step, const std::function<void()>& at_end = [] {}) {
    const auto body = [&] {
      const auto loop = [&] {
        while (!progress_->stop) step();
      };
      auto fiber = spawn(loop);
      loop();
      fiber.join();
      return true;
    };
    std::vector<Child> children;
    for (int i = 0; i < kProcesses; ++i) children.emplace_back(body);
    std::mt19937 random{7};
    const Deadline end = Deadline::after(std::chrono::milliseconds{rounds(1500)});
    for (int kills = 0; !end.has_passed(); ++kills) {
      sleep_for(std::chrono::microseconds{random() % 15000});
      children[kills % kProcesses].kill();
      const int before = progress_->steps;
      ASSERT_TRUE(eventually([&] { return progress_->steps > before + 3; })) << "after " << kills + 1 << " kills";
      children[kills % kProcesses] = Child{body};
    }
    progress_->stop = true;
    at_end();
    for (Child& child : children) EXPECT_EQ(child.join(), 0);
    EXPECT_FALSE(progress_->wrong);
  }

  InSharedMemory<Progress> progress_;
};

TEST_F(KilledAtRandom, RLock) {
  process::RLock lock;
  const InSharedMemory<std::atomic<int>> inside;
  run([&] {
    const std::lock_guard outer{lock};
    if (lock.owner_died()) {
      *inside = 0;
      lock.recovered();
    }
    const std::lock_guard inner{lock};
    if (++*inside != 1) progress_->wrong = true;
    ++progress_->steps;
    --*inside;
  });
}

/// Who is inside, as they say themselves. The dead are known by their stamps.
class Inside {
 public:
  /// The place of the caller.
  std::atomic<std::uint64_t>& enter() {
    for (;;) {
      for (std::atomic<std::uint64_t>& place : places_) {
        std::uint64_t who = place;
        if ((who == 0 || process::detail::process_is_gone(who)) &&
            place.compare_exchange_strong(who, process::detail::this_process_stamp()))
          return place;
      }
    }
  }
  /// Of those who were inside together, at least: all that are, and live, twice in a row.
  [[nodiscard]] int count() const {
    std::array<std::uint64_t, kPlaces> seen{};
    for (int i = 0; i < kPlaces; ++i) seen[i] = alive(places_[i]);
    int found = 0;
    for (int i = 0; i < kPlaces; ++i) found += seen[i] != 0 && alive(places_[i]) == seen[i] ? 1 : 0;
    return found;
  }

 private:
  static constexpr int kPlaces = 32;
  static std::uint64_t alive(std::uint64_t who) { return who != 0 && !process::detail::process_is_gone(who) ? who : 0; }

  std::array<std::atomic<std::uint64_t>, kPlaces> places_;
};

// Never more inside than there are permits, and never none for those who live: what the dead had is given back.
TEST_F(KilledAtRandom, BoundedSemaphore) {
  process::BoundedSemaphore seats{3};
  const InSharedMemory<Inside> inside;
  run([&] {
    seats.acquire();
    std::atomic<std::uint64_t>& place = inside->enter();
    if (inside->count() > 3) progress_->wrong = true;
    ++progress_->steps;
    place = 0;
    seats.release();
  });
  Child last{[&] {
    seats.acquire();
    return true;
  }};
  EXPECT_EQ(last.join(), 0);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(seats.try_acquire_for(kPatience));
  EXPECT_FALSE(seats.try_acquire());
  EXPECT_TRUE(seats.holder_died());
  seats.release(3);
}

// Permits that the dead held are lost; what nobody holds must be had.
TEST_F(KilledAtRandom, Semaphore) {
  process::Semaphore forth{0};
  process::Semaphore back{0};
  const std::jthread supply{[&](const std::stop_token& over) {
    while (!over.stop_requested()) {
      if (forth.value() < 8) forth.release(2);
      (void)back.try_acquire_for(1ms);
    }
  }};
  run([&] {
    if (!forth.try_acquire_for(1s)) return;
    ++progress_->steps;
    back.release();
  });
}

TEST_F(KilledAtRandom, Event) {
  process::Event event;
  const std::jthread setter{[&](const std::stop_token& over) {
    while (!over.stop_requested()) {
      event.set();
      sleep_for(200us);
      event.clear();
    }
  }};
  run([&] {
    event.wait();
    ++progress_->steps;
  });
}

TEST_F(KilledAtRandom, Condition) {
  process::Lock lock;
  process::Condition changed;
  const InSharedMemory<std::atomic<int>> there;
  const std::jthread producer{[&](const std::stop_token& over) {
    while (!over.stop_requested()) {
      {
        const std::lock_guard guard{lock};
        if (*there < 1000) ++*there;
        changed.notify_one();
      }
      sleep_for(50us);
    }
  }};
  run(
      [&] {
        std::unique_lock guard{lock};
        changed.wait(guard, [&] { return *there > 0 || progress_->stop; });
        if (progress_->stop) return;
        if (--*there < 0) progress_->wrong = true;
        ++progress_->steps;
      },
      [&] {
        const std::lock_guard guard{lock};
        changed.notify_all();
      });
}

TEST_F(KilledAtRandom, Barrier) {
  process::Barrier barrier{2};
  run(
      [&] {
        try {
          barrier.wait_for(1s);  // one that comes when all others have gone
          ++progress_->steps;
        } catch (const BrokenBarrierError&) {
          if (!progress_->stop) barrier.reset();
        }
      },
      [&] { barrier.abort(); });
}

}  // namespace
}  // namespace weft::test
