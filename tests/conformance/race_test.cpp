// Two ends of one wait at once: a deadline and a grant, a kill and a grant, a release and the destruction that follows it.

#include <gtest/gtest.h>

#include <mutex>
#include <optional>
#include <shared_mutex>

#include <weft/base/error.hpp>
#include <weft/sync/condition.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>
#include <weft/sync/once.hpp>
#include <weft/sync/rwlock.hpp>
#include <weft/sync/semaphore.hpp>

#include "support/doomed.hpp"
#include "support/stress.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;

/// Where two contexts meet again and again. Made of nothing that is under test. Each looks out for the other without
/// pause at first, so that both leave in the same instant when they run in parallel.
class Meeting {
 public:
  explicit Meeting(const World& world) : looks_{world.kind().workers == 1 ? 0 : 10'000} {}

  void meet() {
    const unsigned mine = arrived_.fetch_add(1);
    if (mine % 2 == 1) return;
    for (int i = 0; i < looks_ && arrived_.load() <= mine + 1; ++i) {
    }
    if (!eventually([&] { return arrived_.load() > mine + 1; })) throw TimeoutError{"the other context did not come"};
  }

 private:
  const int looks_;
  std::atomic<unsigned> arrived_{0};
};

/// Keeps the processor for up to so long, in steps of a few nanoseconds.
void dawdle(Random& random, std::uint32_t steps) {
  for (std::uint32_t left = random.below(steps + 1); left > 0; --left) {
    asm volatile("" ::: "memory");
  }
}

/// Runs both so many times, each time together: one as a context of its own, the other as the caller.
void race(World& world, int count, const std::function<void(int, Random&)>& one,
          const std::function<void(int, Random&)>& other, const std::function<void(int)>& check) {
  Meeting meeting{world};
  Runner partner = world.spawn([&] {
    Random random{1};
    for (int i = 0; i < count; ++i) {
      meeting.meet();
      if (random.below(4) == 0) yield();
      dawdle(random, 300);
      one(i, random);
      meeting.meet();
    }
  });
  Random random{2};
  for (int i = 0; i < count; ++i) {
    meeting.meet();
    if (random.below(4) == 0) yield();
    dawdle(random, 300);
    other(i, random);
    meeting.meet();
    check(i);
  }
  partner.join();
}

class Race : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(Race);

// ---- deadline against grant ------------------------------------------------------------------------------------------

/// Acts within some ten microseconds of the deadline, before or after.
void act_around(Deadline deadline, Random& random, const std::function<void()>& act) {
  const auto offset = static_cast<std::int64_t>(random.below(20'000)) - 10'000;
  const Deadline point = Deadline::from_nanoseconds(deadline.nanoseconds() + offset);
  if (random.below(2) == 0) {
    sleep_until(point);
  } else {
    while (!point.has_passed()) {
      if (random.below(8) == 0) yield();
    }
  }
  act();
}

TEST_P(Race, TimeoutThatLosesToAReleaseIsAPermit) {
  in_world([](World& world) {
    Semaphore semaphore{0};
    Deadline deadline;
    bool got = false;
    int granted = 0;
    std::atomic<std::int64_t> soon{0};
    race(
        world, rounds(500),
        [&](int, Random&) {
          deadline = Deadline::after(60us);
          soon.store(deadline.nanoseconds());
          got = semaphore.try_acquire_until(deadline);
        },
        [&](int, Random& random) {
          ASSERT_TRUE(eventually([&] { return soon.load() != 0; }));
          act_around(Deadline::from_nanoseconds(soon.exchange(0)), random, [&] { semaphore.release(); });
        },
        [&](int) {
          granted += got;
          ASSERT_EQ(semaphore.value(), got ? 0u : 1u);
          if (!got) semaphore.acquire();
        });
  });
}

TEST_P(Race, TimeoutThatLosesToAnUnlockHoldsTheLock) {
  in_world([](World& world) {
    Lock lock;
    std::atomic<std::int64_t> soon{0};
    race(
        world, rounds(500),
        [&](int, Random&) {
          ASSERT_TRUE(eventually([&] { return lock.locked(); }));
          const Deadline deadline = Deadline::after(60us);
          soon.store(deadline.nanoseconds());
          if (lock.try_lock_until(Clock::time_point{Duration{deadline.nanoseconds()}})) {
            ASSERT_EQ(lock.owner(), detail::current_context_id());
            lock.unlock();
          }
        },
        [&](int, Random& random) {
          lock.lock();
          ASSERT_TRUE(eventually([&] { return soon.load() != 0; }));
          act_around(Deadline::from_nanoseconds(soon.exchange(0)), random, [&] { lock.unlock(); });
        },
        [&](int) {
          ASSERT_FALSE(lock.locked());
          ASSERT_TRUE(lock.try_lock());  // in order, with no trace of the waiter
          lock.unlock();
        });
  });
}

// Two wait, one of them with a deadline; one notification: exactly one of them has it.
TEST_P(Race, NotificationGoesToTheNextWhenTheFirstTimesOut) {
  in_world([](World& world) {
    Lock lock;
    Condition condition;
    int notified = 0;  // guarded by lock
    for (int i = 0; i < rounds(300); ++i) {
      notified = 0;
      std::atomic<std::int64_t> soon{0};
      Runner timed = world.spawn([&] {
        std::unique_lock guard{lock};
        const Deadline deadline = Deadline::after(100us);
        soon.store(deadline.nanoseconds());
        notified += condition.wait_until(guard, deadline);
      });
      ASSERT_TRUE(eventually([&] { return soon.load() != 0; }));
      Runner patient = world.spawn([&] {
        std::unique_lock guard{lock};
        condition.wait(guard);
        ++notified;
      });
      ASSERT_TRUE(eventually([&] { return patient.waits_in() == WaitKind::Condition || patient.done(); }));
      Random random{static_cast<std::uint64_t>(i) + 1};
      act_around(Deadline::from_nanoseconds(soon.load()), random, [&] { condition.notify_one(); });
      timed.join();
      ASSERT_TRUE(eventually([&] {
        const std::lock_guard guard{lock};
        return notified == 1;
      }));
      condition.notify_all();
      patient.join();
      ASSERT_LE(notified, 2);
    }
  });
}

TEST_P(Race, TimeoutThatLosesToSetSeesTheEvent) {
  in_world([](World& world) {
    Doomed<Event>* event = nullptr;
    std::atomic<std::int64_t> soon{0};
    std::optional<Doomed<Event>> storage;
    bool let_through = false;
    storage.emplace();
    event = &*storage;
    race(
        world, rounds(500),
        [&](int, Random&) {
          const Deadline deadline = Deadline::after(60us);
          soon.store(deadline.nanoseconds());
          let_through = (*event)->wait_until(deadline);
          // Whoever was let through may destroy it, though the setter has not returned yet.
          if (let_through) event->destroy();
        },
        [&](int, Random& random) {
          ASSERT_TRUE(eventually([&] { return soon.load() != 0; }));
          act_around(Deadline::from_nanoseconds(soon.exchange(0)), random, [&] { (*event)->set(); });
        },
        [&](int) {
          if (!let_through) {
            ASSERT_TRUE((*event)->is_set());
            event->destroy();
          }
          ASSERT_TRUE(event->untouched());
          storage.emplace();
        });
    (*storage).destroy();
  });
}

// ---- kill against grant ----------------------------------------------------------------------------------------------

/// Spawns a waiter and, once it waits, kills it and acts at the same time.
void kill_against(World& world, int count, WaitKind kind, const std::function<void()>& wait, const std::function<void()>& act,
                  const std::function<void(Ending)>& check) {
  std::optional<Runner> waiter;
  Ending ending = Ending::Running;
  Meeting ready{world};
  race(
      world, count,
      [&](int, Random& random) {
        ready.meet();
        dawdle(random, 500);
        act();
      },
      [&](int, Random& random) {
        waiter.emplace(world.spawn(wait));
        ASSERT_TRUE(waiter->soon_waits_in(kind));
        ready.meet();
        if (random.below(3) == 0) yield();
        dawdle(random, 500);
        waiter->kill();
        ending = waiter->join();
      },
      [&](int) { check(ending); });
}

TEST_P(Race, PermitIsEitherTakenOrLeftWhenAKillMeetsARelease) {
  in_world([](World& world) {
    Semaphore semaphore{0};
    kill_against(
        world, rounds(300), WaitKind::Semaphore, [&] { semaphore.acquire(); }, [&] { semaphore.release(); },
        [&](Ending ending) {
          ASSERT_EQ(semaphore.value(), ending == Ending::Returned ? 0u : 1u);
          if (ending == Ending::Cancelled) semaphore.acquire();
        });
  });
}

TEST_P(Race, LockIsFreeAfterAKillMetAnUnlock) {
  in_world([](World& world) {
    Lock lock;
    Lock* handle = &lock;
    std::optional<Runner> holder;
    Event release;
    for (int i = 0; i < rounds(200); ++i) {
      release.clear();
      Event held;
      Runner releaser = world.spawn([&] {
        handle->lock();
        held.set();
        release.wait();
        handle->unlock();
      });
      held.wait();
      Runner waiter = world.spawn([&] {
        if (handle->try_lock_for(1h)) handle->unlock();
      });
      ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Lock));
      // Another waits without end: a wake-up that the killed one was given must be passed on to it.
      Runner next = world.spawn([&] {
        handle->lock();
        handle->unlock();
      });
      ASSERT_TRUE(next.soon_waits_in(WaitKind::Lock));
      release.set();
      Random random{static_cast<std::uint64_t>(i) + 1};
      if (random.below(2) == 0) yield();
      dawdle(random, 2000);
      waiter.kill();
      waiter.join();
      next.join();
      releaser.join();
      ASSERT_FALSE(lock.locked());
      ASSERT_TRUE(lock.try_lock());
      lock.unlock();
    }
  });
}

TEST_P(Race, NotificationGoesToTheNextWhenTheFirstIsKilled) {
  in_world([](World& world) {
    Lock lock;
    Condition condition;
    std::atomic<int> notified{0};
    std::optional<Runner> second;
    const auto wait = [&] {
      std::unique_lock guard{lock};
      condition.wait(guard);
      ++notified;
    };
    Meeting ready{world};
    race(
        world, rounds(300),
        [&](int, Random& random) {
          ready.meet();
          dawdle(random, 500);
          condition.notify_one();
        },
        [&](int, Random& random) {
          Runner first = world.spawn(wait);
          ASSERT_TRUE(first.soon_waits_in(WaitKind::Condition));
          second.emplace(world.spawn(wait));
          ASSERT_TRUE(second->soon_waits_in(WaitKind::Condition));
          ready.meet();
          dawdle(random, 500);
          first.kill();
          const Ending ending = first.join();
          if (ending == Ending::Cancelled) {
            ASSERT_EQ(second->join(), Ending::Returned);
          } else {
            ASSERT_FALSE(second->done());
          }
          ASSERT_EQ(notified.exchange(0), 1);
        },
        [&](int) {
          condition.notify_all();
          second->join();
          second.reset();
          notified = 0;
        });
  });
}

TEST_P(Race, SleeperKilledAtItsDeadlineEndsOnce) {
  in_world([](World& world) {
    int woke = 0;
    int cancelled = 0;
    for (int i = 0; i < rounds(300); ++i) {
      const Deadline deadline = Deadline::after(80us);
      Runner sleeper = world.spawn([&] { sleep_until(deadline); });
      Random random{static_cast<std::uint64_t>(i) + 1};
      act_around(deadline, random, [&] { sleeper.kill(); });
      const Ending ending = sleeper.join();
      ASSERT_TRUE(ending == Ending::Returned || ending == Ending::Cancelled);
      ++(ending == Ending::Returned ? woke : cancelled);
    }
    EXPECT_EQ(woke + cancelled, rounds(300));
  });
}

// ---- release against destruction -------------------------------------------------------------------------------------

/// One context releases, the other is released and destroys the object at once.
template <class T, class... Args>
void destroy_after_release(World& world, int count, const std::function<void(T&)>& prepare,
                           const std::function<void(T&)>& release, const std::function<void(T&)>& wait, Args... args) {
  std::optional<Doomed<T>> object;
  Meeting prepared{world};
  Meeting over{world};
  Runner releaser = world.spawn([&] {
    Random random{1};
    for (int i = 0; i < count; ++i) {
      object.emplace(args...);
      if (prepare) prepare(**object);
      prepared.meet();
      if (random.below(4) == 0) yield();
      dawdle(random, 1000);
      release(**object);
      over.meet();
      ASSERT_TRUE(object->untouched()) << "round " << i;
    }
  });
  Random random{2};
  for (int i = 0; i < count; ++i) {
    prepared.meet();
    dawdle(random, 1000);
    wait(**object);
    object->destroy();
    over.meet();
  }
  releaser.join();
}

TEST_P(Race, LockMayBeDestroyedByTheOneWhoGotItLast) {
  in_world([](World& world) {
    destroy_after_release<Lock>(
        world, rounds(5000), [](Lock& lock) { lock.lock(); }, [](Lock& lock) { lock.unlock(); },
        [](Lock& lock) {
          lock.lock();
          lock.unlock();
        });
  });
}

TEST_P(Race, LockMayBeDestroyedByTheOneWhoTriedUntilHeGotIt) {
  in_world([](World& world) {
    destroy_after_release<Lock>(
        world, rounds(2000), [](Lock& lock) { lock.lock(); }, [](Lock& lock) { lock.unlock(); },
        [](Lock& lock) {
          while (!lock.try_lock()) yield();
          lock.unlock();
        });
  });
}

TEST_P(Race, EventMayBeDestroyedByTheOneItLetThrough) {
  in_world([](World& world) {
    destroy_after_release<Event>(
        world, rounds(5000), {}, [](Event& event) { event.set(); }, [](Event& event) { event.wait(); });
  });
}

TEST_P(Race, SemaphoreMayBeDestroyedByTheOneWhoGotThePermit) {
  in_world([](World& world) {
    destroy_after_release<Semaphore>(
        world, rounds(5000), {}, [](Semaphore& semaphore) { semaphore.release(); },
        [](Semaphore& semaphore) { semaphore.acquire(); }, 0u);
  });
}

TEST_P(Race, RWLockMayBeDestroyedByTheOneWhoGotItLast) {
  in_world([](World& world) {
    const auto write = [](RWLock& lock) { const std::lock_guard guard{lock}; };
    const auto read = [](RWLock& lock) { const std::shared_lock guard{lock}; };
    const auto begin_to_write = [](RWLock& lock) { lock.lock(); };
    const auto begin_to_read = [](RWLock& lock) { lock.lock_shared(); };
    const auto end_writing = [](RWLock& lock) { lock.unlock(); };
    const auto end_reading = [](RWLock& lock) { lock.unlock_shared(); };
    destroy_after_release<RWLock>(world, rounds(2000), begin_to_write, end_writing, write);
    destroy_after_release<RWLock>(world, rounds(2000), begin_to_write, end_writing, read);
    destroy_after_release<RWLock>(world, rounds(2000), begin_to_read, end_reading, write);
  });
}

TEST_P(Race, RWLockMayBeDestroyedByTheOneWhoTriedUntilHeGotIt) {
  in_world([](World& world) {
    destroy_after_release<RWLock>(
        world, rounds(1000), [](RWLock& lock) { lock.lock(); }, [](RWLock& lock) { lock.unlock(); },
        [](RWLock& lock) {
          while (!lock.try_lock_shared()) yield();
          lock.unlock_shared();
        });
  });
}

TEST_P(Race, OnceMayBeDestroyedByTheOneItLetThrough) {
  in_world([](World& world) {
    // Who comes second waits, or finds it done.
    destroy_after_release<Once>(
        world, rounds(3000), {}, [](Once& once) { once.call([] {}); },
        [](Once& once) {
          while (!once.done()) yield();
          once.call([] { ADD_FAILURE() << "it has run"; });
        });
  });
}

struct Guarded {
  Lock lock;
  Condition condition;
  bool ready = false;
};

TEST_P(Race, ConditionMayBeDestroyedByTheOneWhoWasNotified) {
  in_world([](World& world) {
    destroy_after_release<Guarded>(
        world, rounds(3000), {},
        [](Guarded& shared) {
          // The notification inside, so that the waiter cannot pass before it; the unlock is the last touch.
          const std::lock_guard guard{shared.lock};
          shared.ready = true;
          shared.condition.notify_one();
        },
        [](Guarded& shared) {
          std::unique_lock guard{shared.lock};
          shared.condition.wait(guard, [&] { return shared.ready; });
        });
  });
}

TEST_P(Race, ConditionMayBeDestroyedWhileItsNotifierIsReturning) {
  in_world([](World& world) {
    for (int i = 0; i < rounds(500); ++i) {
      Lock lock;
      Doomed<Condition> condition;
      Runner waiter = world.spawn([&] {
        {
          std::unique_lock guard{lock};
          condition->wait(guard);
        }
        condition.destroy();
      });
      ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Condition));
      condition->notify_one();
      waiter.join();
      ASSERT_TRUE(condition.untouched());
    }
  });
}

// ---- everything at once ----------------------------------------------------------------------------------------------

/// Contexts that are killed and replaced at random until `count` have ended.
void storm(World& world, int count, const std::function<void(Random&)>& step) {
  constexpr int kAtOnce = 6;
  std::vector<Runner> runners;
  Random random{7};
  int started = 0;
  const auto start = [&] {
    ++started;
    return world.spawn([&step, seed = static_cast<std::uint64_t>(started)] {
      Random own{seed};
      for (int i = 0; i < 200; ++i) step(own);
    });
  };
  for (int i = 0; i < kAtOnce; ++i) runners.push_back(start());
  while (started < count) {
    sleep_for(std::chrono::microseconds{random.below(300)});
    Runner& victim = runners[random.below(kAtOnce)];
    if (random.below(3) != 0) victim.kill();
    victim.join();
    victim = start();
  }
  join_all(runners);
}

TEST_P(Race, PermitsAreConservedInAStormOfTimeoutsAndKills) {
  in_world([](World& world) {
    constexpr unsigned kPermits = 2;
    Semaphore semaphore{kPermits};
    std::atomic<int> inside{0};
    storm(world, rounds(100), [&](Random& random) {
      struct Held {
        Semaphore& semaphore;
        std::atomic<int>& inside;
        ~Held() {
          --inside;
          semaphore.release();
        }
      };
      if (random.below(4) == 0) {
        semaphore.acquire();
      } else if (!semaphore.try_acquire_for(std::chrono::microseconds{random.below(150)})) {
        return;
      }
      const Held held{semaphore, inside};
      EXPECT_LE(++inside, static_cast<int>(kPermits));
      switch (random.below(4)) {
        case 0: yield(); break;
        case 1: sleep_for(std::chrono::microseconds{random.below(40)}); break;
        default: break;
      }
    });
    EXPECT_EQ(inside, 0);
    EXPECT_EQ(semaphore.value(), kPermits);
  });
}

TEST_P(Race, LockExcludesInAStormOfTimeoutsAndKills) {
  in_world([](World& world) {
    Lock lock;
    int inside = 0;  // guarded by lock
    long turns = 0;  // guarded by lock
    storm(world, rounds(100), [&](Random& random) {
      std::unique_lock guard{lock, std::defer_lock};
      if (random.below(3) == 0) {
        guard.lock();
      } else if (!guard.try_lock_for(std::chrono::microseconds{random.below(150)})) {
        return;
      }
      struct Inside {
        int& count;
        explicit Inside(int& c) : count{c} { EXPECT_EQ(++count, 1); }
        ~Inside() { --count; }
      } const here{inside};
      ++turns;
      switch (random.below(4)) {
        case 0: yield(); break;
        case 1: sleep_for(std::chrono::microseconds{random.below(40)}); break;
        default: break;
      }
    });
    EXPECT_FALSE(lock.locked());
    EXPECT_EQ(inside, 0);
    EXPECT_GT(turns, 0);
  });
}

TEST_P(Race, RWLockKeepsWritersAloneInAStormOfTimeoutsAndKills) {
  in_world([](World& world) {
    RWLock lock;
    std::atomic<int> reading{0};
    std::atomic<int> writing{0};
    long written = 0;  // not atomic: the lock orders it
    storm(world, rounds(100), [&](Random& random) {
      struct Inside {
        std::atomic<int>& count;
        explicit Inside(std::atomic<int>& c) : count{c} { ++count; }
        ~Inside() { --count; }
      };
      const auto linger = [&] {
        switch (random.below(4)) {
          case 0: yield(); break;
          case 1: sleep_for(std::chrono::microseconds{random.below(40)}); break;
          default: break;
        }
      };
      const bool timed = random.below(3) != 0;
      const auto timeout = std::chrono::microseconds{random.below(150)};
      if (random.below(3) == 0) {
        std::unique_lock guard{lock, std::defer_lock};
        if (timed ? !guard.try_lock_for(timeout) : (guard.lock(), false)) return;
        const Inside here{writing};
        EXPECT_EQ(writing, 1);
        EXPECT_EQ(reading, 0);
        ++written;
        linger();
      } else {
        std::shared_lock guard{lock, std::defer_lock};
        if (timed ? !guard.try_lock_for(timeout) : (guard.lock(), false)) return;
        const Inside here{reading};
        EXPECT_EQ(writing, 0);
        const long seen = written;
        linger();
        EXPECT_EQ(written, seen);
      }
    });
    EXPECT_EQ(lock.owner(), 0u);
    EXPECT_EQ(lock.readers(), 0u);
    EXPECT_GT(written, 0);
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
  });
}

TEST_P(Race, OnceRunsToItsEndOnceInAStormOfKills) {
  in_world([](World& world) {
    std::atomic<int> finished{0};
    for (int i = 0; i < rounds(20); ++i) {
      Once once;
      std::atomic<int> running{0};
      finished = 0;
      std::vector<Runner> runners = world.spawn_many(6, [&](int number) {
        once.call([&] {
          struct Running {
            std::atomic<int>& count;
            explicit Running(std::atomic<int>& c) : count{c} { EXPECT_EQ(++count, 1); }
            ~Running() { --count; }
          } const here{running};
          if (number % 2) sleep_for(50us);
          yield();
          ++finished;
        });
        EXPECT_EQ(finished, 1);
      });
      for (std::size_t victim = 0; victim < 5; ++victim) {
        yield();
        runners[victim].kill();
      }
      join_all(runners);
      EXPECT_TRUE(once.done());
      EXPECT_EQ(finished, 1);
    }
  });
}

TEST_P(Race, BufferLosesNothingInAStormOfTimeoutsAndKills) {
  in_world([](World& world) {
    Lock lock;
    Condition changed;
    long put = 0;      // these: guarded by lock
    long taken = 0;
    long in_buffer = 0;
    storm(world, rounds(100), [&](Random& random) {
      std::unique_lock guard{lock};
      const auto timeout = std::chrono::microseconds{random.below(150)};
      if (random.below(2) == 0) {
        if (!changed.wait_for(guard, timeout, [&] { return in_buffer < 3; })) return;
        ++in_buffer;
        ++put;
      } else {
        if (!changed.wait_for(guard, timeout, [&] { return in_buffer > 0; })) return;
        --in_buffer;
        ++taken;
      }
      EXPECT_EQ(lock.owner(), detail::current_context_id());
      random.below(4) == 0 ? changed.notify_all() : changed.notify_one();
      if (random.below(8) == 0) yield();  // holding it
    });
    EXPECT_EQ(put - taken, in_buffer);
    EXPECT_FALSE(lock.locked());
  });
}

}  // namespace
}  // namespace weft::test
