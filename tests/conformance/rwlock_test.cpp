#include <weft/sync/rwlock.hpp>

#include <gtest/gtest.h>

#include <mutex>
#include <shared_mutex>

#include <weft/base/error.hpp>
#include <weft/sync/deadlock.hpp>
#include <weft/sync/lock.hpp>

#include "support/stress.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;

class RWLockConformance : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(RWLockConformance);

/// Contexts that hold the lock until they are told to let go.
class Held {
 public:
  Held(World& world, RWLock& lock, int readers) {
    runners_ = world.spawn_many(readers, [&](int) {
      const std::shared_lock guard{lock};
      ++inside_;
      enough_.wait();
    });
  }
  explicit Held(World& world, RWLock& lock) {
    runners_.push_back(world.spawn([&] {
      const std::lock_guard guard{lock};
      ++inside_;
      enough_.wait();
    }));
  }
  [[nodiscard]] int inside() const { return inside_; }
  [[nodiscard]] const std::vector<Runner>& runners() const { return runners_; }
  [[nodiscard]] bool soon_inside() const {
    return eventually([&] { return inside_ == static_cast<int>(runners_.size()); });
  }
  [[nodiscard]] bool soon_waiting() const { return soon_all_wait_in(runners_, WaitKind::RWLock); }
  void let_go() {
    enough_.set();
    join_all(runners_);
  }

 private:
  Event enough_;
  std::atomic<int> inside_{0};
  std::vector<Runner> runners_;
};

TEST_P(RWLockConformance, ReadersShareIt) {
  in_world([](World& world) {
    RWLock lock;
    Held readers{world, lock, 5};
    ASSERT_TRUE(readers.soon_inside());
    EXPECT_EQ(lock.readers(), 5u);
    EXPECT_EQ(lock.owner(), 0u);
    EXPECT_FALSE(lock.try_lock());
    ASSERT_TRUE(lock.try_lock_shared());
    lock.unlock_shared();
    readers.let_go();
    EXPECT_EQ(lock.readers(), 0u);
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
  });
}

TEST_P(RWLockConformance, AWriterHasItAlone) {
  in_world([](World& world) {
    RWLock lock;
    lock.lock();
    EXPECT_EQ(lock.owner(), detail::current_context_id());
    EXPECT_EQ(lock.readers(), 0u);
    world.spawn([&] {
           EXPECT_FALSE(lock.try_lock());
           EXPECT_FALSE(lock.try_lock_shared());
           EXPECT_FALSE(lock.try_lock_for(1ms));
           EXPECT_FALSE(lock.try_lock_shared_for(1ms));
         })
        .join();
    Held reader{world, lock, 1};
    Held writer{world, lock};
    ASSERT_TRUE(reader.soon_waiting());
    ASSERT_TRUE(writer.soon_waiting());
    lock.unlock();
    ASSERT_TRUE(reader.soon_inside());
    EXPECT_EQ(writer.inside(), 0);
    reader.let_go();
    ASSERT_TRUE(writer.soon_inside());
    writer.let_go();
    EXPECT_EQ(lock.owner(), 0u);
  });
}

TEST_P(RWLockConformance, AWaitingWriterKeepsNewReadersOut) {
  in_world([](World& world) {
    RWLock lock;
    lock.lock_shared();
    Held writer{world, lock};
    ASSERT_TRUE(writer.soon_waiting());
    EXPECT_FALSE(lock.try_lock_shared());
    Held newcomers{world, lock, 3};
    ASSERT_TRUE(newcomers.soon_waiting());
    EXPECT_EQ(lock.readers(), 1u);
    lock.unlock_shared();
    ASSERT_TRUE(writer.soon_inside());
    EXPECT_EQ(newcomers.inside(), 0);
    writer.let_go();
    ASSERT_TRUE(newcomers.soon_inside());
    newcomers.let_go();
  });
}

TEST_P(RWLockConformance, ReadersThatCameDuringAWriteGoTogetherBeforeTheNextWriter) {
  in_world([](World& world) {
    RWLock lock;
    lock.lock();
    Held first{world, lock, 1};
    ASSERT_TRUE(first.soon_waiting());
    Held writer{world, lock};
    ASSERT_TRUE(writer.soon_waiting());
    Held later{world, lock, 3};
    ASSERT_TRUE(later.soon_waiting());
    lock.unlock();
    ASSERT_TRUE(first.soon_inside());
    ASSERT_TRUE(later.soon_inside());
    EXPECT_EQ(lock.readers(), 4u);
    EXPECT_EQ(writer.inside(), 0);
    first.let_go();
    EXPECT_EQ(writer.inside(), 0);
    later.let_go();
    ASSERT_TRUE(writer.soon_inside());
    writer.let_go();
  });
}

TEST_P(RWLockConformance, WritersGoInOrderOfArrival) {
  in_world([](World& world) {
    RWLock lock;
    std::vector<int> order;
    std::vector<Runner> writers;
    lock.lock_shared();
    for (int i = 0; i < 5; ++i) {
      writers.push_back(world.spawn([&, i] {
        const std::lock_guard guard{lock};
        order.push_back(i);
      }));
      ASSERT_TRUE(writers.back().soon_waits_in(WaitKind::RWLock));
    }
    lock.unlock_shared();
    join_all(writers);
    EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
  });
}

TEST_P(RWLockConformance, AWriterThatGivesUpLetsInTheReadersItKeptOut) {
  in_world([](World& world) {
    for (const bool by_kill : {false, true}) {
      RWLock lock;
      lock.lock_shared();
      std::atomic<bool> got_it{false};
      Runner writer = world.spawn([&] { got_it = lock.try_lock_for(by_kill ? Duration{1h} : Duration{100ms}); });
      // The one with a limit may be over before it is seen to wait, on a machine that lets it run rarely.
      ASSERT_TRUE(eventually([&] { return writer.waits_in() == WaitKind::RWLock || (!by_kill && writer.done()); }));
      Held readers{world, lock, 3};
      if (by_kill) {
        ASSERT_TRUE(readers.soon_waiting());
        writer.kill();
      }
      ASSERT_TRUE(readers.soon_inside());
      EXPECT_EQ(writer.join(), by_kill ? Ending::Cancelled : Ending::Returned);
      EXPECT_FALSE(got_it);
      EXPECT_EQ(lock.readers(), 4u);
      readers.let_go();
      lock.unlock_shared();
      EXPECT_TRUE(lock.try_lock());
      lock.unlock();
    }
  });
}

TEST_P(RWLockConformance, TimedFormsWaitTheirTimeThenGiveUp) {
  in_world([](World& world) {
    RWLock lock;
    const std::lock_guard guard{lock};
    world.spawn([&] {
           const Stopwatch watch;
           EXPECT_FALSE(lock.try_lock_for(20ms));
           EXPECT_FALSE(lock.try_lock_shared_for(20ms));
           EXPECT_GE(watch.elapsed(), 40ms);
           const auto point = Clock::now() + 10ms;
           EXPECT_FALSE(lock.try_lock_shared_until(point));
           EXPECT_GE(Clock::now(), point);
           EXPECT_FALSE(lock.try_lock_until(Clock::now() - 1s));
           EXPECT_FALSE(lock.try_lock_for(0ms));
           EXPECT_FALSE(lock.try_lock_shared_for(-1h));
         })
        .join();
  });
}

TEST_P(RWLockConformance, TimedFormsTakeAFreeLockWhateverTheTimeout) {
  in_world([](World&) {
    RWLock lock;
    for (const auto timeout : {Duration{-1s}, Duration{0}, Duration{1h}, Duration::max()}) {
      ASSERT_TRUE(lock.try_lock_for(timeout));
      lock.unlock();
      ASSERT_TRUE(lock.try_lock_shared_for(timeout));
      lock.unlock_shared();
    }
  });
}

TEST_P(RWLockConformance, TimedFormsGetItWhenReleasedInTime) {
  in_world([](World& world) {
    RWLock lock;
    lock.lock();
    Runner reader = world.spawn([&] {
      ASSERT_TRUE(lock.try_lock_shared_for(kPatience));
      lock.unlock_shared();
    });
    Runner writer = world.spawn([&] {
      ASSERT_TRUE(lock.try_lock_for(kPatience));
      EXPECT_EQ(lock.owner(), detail::current_context_id());
      lock.unlock();
    });
    ASSERT_TRUE(reader.soon_waits_in(WaitKind::RWLock));
    ASSERT_TRUE(writer.soon_waits_in(WaitKind::RWLock));
    lock.unlock();
    reader.join();
    writer.join();
  });
}

TEST_P(RWLockConformance, WorksWithTheGuardsOfTheStandardLibrary) {
  in_world([](World&) {
    RWLock a{"table"};
    RWLock b;
    EXPECT_STREQ(a.name(), "table");
    {
      const std::scoped_lock both{a, b};
      EXPECT_EQ(a.owner(), detail::current_context_id());
    }
    {
      std::shared_lock reading{a, 1ms};
      EXPECT_TRUE(reading.owns_lock());
      EXPECT_FALSE((std::unique_lock{a, std::try_to_lock}.owns_lock()));
      EXPECT_TRUE((std::shared_lock{a, Clock::now() + 1s}.owns_lock()));
    }
    EXPECT_TRUE((std::unique_lock{a, 1ms}.owns_lock()));
    EXPECT_EQ(a.readers(), 0u);
  });
}

TEST_P(RWLockConformance, OnlyAHolderMayUnlockIt) {
  in_world([](World& world) {
    RWLock lock{"ledger"};
    EXPECT_THROW(lock.unlock(), InvalidStateError);
    EXPECT_THROW(lock.unlock_shared(), InvalidStateError);
    lock.lock();
    EXPECT_THROW(lock.unlock_shared(), InvalidStateError);
    world.spawn([&] {
           try {
             lock.unlock();
             ADD_FAILURE() << "unlocked by somebody else";
           } catch (const InvalidStateError& error) {
             EXPECT_NE(std::string{error.what()}.find("RWLock \"ledger\""), std::string::npos) << error.what();
           }
         })
        .join();
    EXPECT_EQ(lock.owner(), detail::current_context_id());
    lock.unlock();
    lock.lock_shared();
    EXPECT_THROW(lock.unlock(), InvalidStateError);
    world.spawn([&] { EXPECT_THROW(lock.unlock_shared(), InvalidStateError); }).join();
    EXPECT_EQ(lock.readers(), 1u);
    lock.unlock_shared();
    EXPECT_THROW(lock.unlock_shared(), InvalidStateError);
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
  });
}

TEST_P(RWLockConformance, AStrangersUnlockAmongSeveralReadersIsFoundByTheLast) {
  in_world([](World& world) {
    RWLock lock;
    Held reader{world, lock, 1};
    ASSERT_TRUE(reader.soon_inside());
    lock.lock_shared();
    world.spawn([&] { lock.unlock_shared(); }).join();
    EXPECT_THROW(lock.unlock_shared(), InvalidStateError);
    // What is left is nobody's: the test mends it, so that the reader can leave.
    world.spawn([&] { lock.lock_shared(); }).join();
    lock.lock_shared();
    reader.let_go();
  });
}

// The number of readers is bounded only by the word.
TEST(RWLock, WhoComesWhenTheReadersCannotBeCountedAnyMoreWaits) {
  World world{kThreads};
  constexpr std::uint32_t kMost = (1u << 22) - 1;
  RWLock lock;
  for (std::uint32_t i = 0; i < kMost; ++i) ASSERT_TRUE(lock.try_lock_shared());
  EXPECT_EQ(lock.readers(), kMost);
  EXPECT_FALSE(lock.try_lock_shared());
  Held reader{world, lock, 2};
  ASSERT_TRUE(reader.soon_waiting());
  for (std::uint32_t i = 0; i < kMost; ++i) lock.unlock_shared();
  ASSERT_TRUE(reader.soon_inside());
  reader.let_go();
  EXPECT_TRUE(lock.try_lock());
  lock.unlock();
}

TEST_P(RWLockConformance, IsHeldAcrossSleepsAndYields) {
  in_world([](World& world) {
    RWLock lock;
    int value = 0;
    auto runners = world.spawn_many(4, [&](int) {
      for (int i = 0; i < 20; ++i) {
        {
          const std::lock_guard guard{lock};
          const int seen = value;
          i % 2 ? yield() : sleep_for(50us);
          value = seen + 1;
        }
        const std::shared_lock guard{lock};
        const int seen = value;
        yield();
        EXPECT_EQ(value, seen);
      }
    });
    join_all(runners);
    EXPECT_EQ(value, 80);
  });
}

TEST_P(RWLockConformance, NobodyReadsWhatIsHalfWritten) {
  in_world([](World& world) {
    RWLock lock;
    long left = 0;  // not atomic: a reader beside a writer would see them differ, and ThreadSanitizer would see it
    long right = 0;
    const int turns = rounds(300);
    auto runners = world.spawn_many(8, [&](int number) {
      for (int i = 0; i < turns; ++i) {
        if ((i + number) % 4 == 0) {
          const std::lock_guard guard{lock};
          ++left;
          if (i % 16 == 0) yield();
          ++right;
        } else {
          const std::shared_lock guard{lock};
          const long seen = left;
          if (i % 16 == 0) yield();
          EXPECT_EQ(seen, right);
        }
      }
    });
    join_all(runners);
    EXPECT_EQ(left, 2L * turns);
    EXPECT_EQ(lock.readers(), 0u);
  });
}

TEST_P(RWLockConformance, AWriterGetsThroughAStreamOfReaders) {
  in_world([](World& world) {
    RWLock lock;
    std::atomic<bool> stop{false};
    // Each takes it again before the other has let go, so that it is never free by itself.
    auto stream = world.spawn_many(3, [&](int) {
      while (!stop) {
        const std::shared_lock guard{lock};
        yield();
        sleep_for(20us);
      }
    });
    Runner writer = world.spawn([&] {
      for (int i = 0; i < 20; ++i) {
        const std::lock_guard guard{lock};
        yield();
      }
    });
    EXPECT_TRUE(eventually([&] { return writer.done(); }));
    stop = true;
    join_all(stream);
    writer.join();
  });
}

TEST_P(RWLockConformance, AReaderGetsThroughAStreamOfWriters) {
  in_world([](World& world) {
    RWLock lock;
    std::atomic<bool> stop{false};
    auto stream = world.spawn_many(3, [&](int) {
      while (!stop) {
        const std::lock_guard guard{lock};
        yield();
      }
    });
    Runner reader = world.spawn([&] {
      for (int i = 0; i < 20; ++i) {
        const std::shared_lock guard{lock};
        yield();
      }
    });
    EXPECT_TRUE(eventually([&] { return reader.done(); }));
    stop = true;
    join_all(stream);
    reader.join();
  });
}

// How many others come first is bounded, not only how long it takes.
TEST_P(RWLockConformance, AReaderWaitsForOneWriterAndAWriterForThoseBeforeIt) {
  in_world([](World& world) {
    RWLock lock;
    std::vector<std::string> order;  // guarded by noting
    Lock noting;
    const auto note = [&](const char* who) {
      const std::lock_guard guard{noting};
      order.emplace_back(who);
    };
    std::vector<Runner> runners;
    const auto queue = [&](const char* who, bool writes) {
      runners.push_back(world.spawn([&, who, writes] {
        if (writes) {
          const std::lock_guard guard{lock};
          note(who);
        } else {
          const std::shared_lock guard{lock};
          note(who);
        }
      }));
      ASSERT_TRUE(runners.back().soon_waits_in(WaitKind::RWLock));
    };
    lock.lock();
    queue("w1", true);
    queue("w2", true);
    queue("r", false);
    queue("w3", true);
    lock.unlock();
    join_all(runners);
    EXPECT_EQ(order, (std::vector<std::string>{"r", "w1", "w2", "w3"}));
  });
}

TEST_P(RWLockConformance, LockIsNoCancellationPoint) {
  in_world([](World& world) {
    RWLock lock;
    std::atomic<int> got_it{0};
    lock.lock();
    auto killed = world.spawn_many(2, [&](int number) {
      if (number == 0) {
        const std::lock_guard guard{lock};
        ++got_it;
      } else {
        const std::shared_lock guard{lock};
        ++got_it;
      }
      sleep_for(1h);  // here it ends
    });
    ASSERT_TRUE(soon_all_wait_in(killed, WaitKind::RWLock));
    for (Runner& runner : killed) runner.kill();
    sleep_for(2ms);
    EXPECT_EQ(got_it, 0);
    lock.unlock();
    for (Runner& runner : killed) EXPECT_EQ(runner.join(), Ending::Cancelled);
    EXPECT_EQ(got_it, 2);
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
  });
}

TEST_P(RWLockConformance, TimedFormsAreCancellationPoints) {
  in_world([](World& world) {
    RWLock lock;
    lock.lock();
    std::atomic<bool> returned{false};
    auto killed = world.spawn_many(2, [&](int number) {
      (void)(number == 0 ? lock.try_lock_for(1h) : lock.try_lock_shared_for(1h));
      returned = true;
    });
    ASSERT_TRUE(soon_all_wait_in(killed, WaitKind::RWLock));
    for (Runner& runner : killed) runner.kill();
    for (Runner& runner : killed) EXPECT_EQ(runner.join(), Ending::Cancelled);
    EXPECT_FALSE(returned);
    lock.unlock();
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
  });
}

TEST_P(RWLockConformance, TellsWhomAWaiterWaitsFor) {
  in_world([](World& world) {
    using Ids = std::vector<std::uint64_t>;
    RWLock lock;
    const std::uint64_t me = detail::current_context_id();
    Held writer{world, lock};
    ASSERT_TRUE(writer.soon_inside());
    const std::uint64_t writer_id = lock.owner();
    Held reader{world, lock, 1};
    Held next_writer{world, lock};
    ASSERT_TRUE(reader.soon_waiting());
    ASSERT_TRUE(next_writer.soon_waiting());
    EXPECT_EQ(reader.runners()[0].waits_for(), Ids{writer_id});
    EXPECT_EQ(next_writer.runners()[0].waits_for(), Ids{writer_id});
    writer.let_go();
    ASSERT_TRUE(reader.soon_inside());
    reader.let_go();
    ASSERT_TRUE(next_writer.soon_inside());
    next_writer.let_go();

    // A reader that is alone is known.
    lock.lock_shared();
    Held third{world, lock};
    ASSERT_TRUE(third.soon_waiting());
    EXPECT_EQ(third.runners()[0].waits_for(), Ids{me});
    // A reader that a waiting writer keeps out waits for that one.
    Held late{world, lock, 1};
    ASSERT_TRUE(late.soon_waiting());
    EXPECT_EQ(late.runners()[0].waits_for().size(), 1u);
    EXPECT_NE(late.runners()[0].waits_for(), Ids{me});
    lock.unlock_shared();
    ASSERT_TRUE(third.soon_inside());
    third.let_go();
    ASSERT_TRUE(late.soon_inside());

    // Among several none is.
    lock.lock_shared();
    Held last{world, lock};
    ASSERT_TRUE(last.soon_waiting());
    EXPECT_EQ(last.runners()[0].waits_for(), Ids{});
    late.let_go();
    EXPECT_EQ(last.runners()[0].waits_for(), Ids{me});
    lock.unlock_shared();
    ASSERT_TRUE(last.soon_inside());
    last.let_go();
  });
}

// ---- deadlocks -------------------------------------------------------------------------------------------------------

class RWLockDeadlocks : public InEveryWorld {
 protected:
  void SetUp() override { set_deadlock_hook([](const std::string&) {}); }
  void TearDown() override { set_deadlock_hook({}); }
};
WEFT_IN_EVERY_WORLD(RWLockDeadlocks);

TEST_P(RWLockDeadlocks, AWriterThatTakesItAgainIsTold) {
  in_world([](World&) {
    RWLock lock{"table"};
    const std::lock_guard guard{lock};
    try {
      lock.lock();
      ADD_FAILURE() << "taken twice";
    } catch (const DeadlockError& error) {
      EXPECT_NE(std::string{error.what()}.find("RWLock \"table\""), std::string::npos) << error.what();
    }
    EXPECT_THROW(lock.lock_shared(), DeadlockError);
    EXPECT_EQ(lock.owner(), detail::current_context_id());
  });
}

TEST_P(RWLockDeadlocks, TheOnlyReaderThatAsksToWriteIsTold) {
  in_world([](World& world) {
    RWLock lock;
    {
      const std::shared_lock guard{lock};
      EXPECT_THROW(lock.lock(), DeadlockError);
      EXPECT_EQ(lock.readers(), 1u);
      // The writer that could not be keeps nobody out.
      world.spawn([&] { const std::shared_lock other{lock}; }).join();
    }
    const std::lock_guard guard{lock};
  });
}

// Whose wait is the youngest cannot be told apart within a few milliseconds: here either may be the one that is told.
TEST_P(RWLockDeadlocks, AReaderThatAsksAgainBehindAWaitingWriterIsTold) {
  in_world([](World& world) {
    RWLock lock;
    std::atomic<int> told{0};
    std::shared_lock guard{lock};
    Runner writer = world.spawn([&] {
      try {
        const std::lock_guard waits{lock};
      } catch (const DeadlockError&) {
        ++told;
      }
    });
    ASSERT_TRUE(writer.soon_waits_in(WaitKind::RWLock));
    try {
      const std::shared_lock again{lock};
    } catch (const DeadlockError&) {
      ++told;
    }
    guard.unlock();
    EXPECT_EQ(writer.join(), Ending::Returned);
    EXPECT_EQ(told, 1);
    EXPECT_TRUE(lock.try_lock());
    lock.unlock();
  });
}

TEST_P(RWLockDeadlocks, ACircleThroughAReaderIsFound) {
  in_world([](World& world) {
    RWLock table;
    Lock plain;
    std::atomic<int> told{0};
    std::unique_lock<Lock> mine{plain};
    Runner reader = world.spawn([&] {
      const std::shared_lock guard{table};
      try {
        const std::lock_guard waits{plain};
      } catch (const DeadlockError&) {
        ++told;
      }
    });
    ASSERT_TRUE(reader.soon_waits_in(WaitKind::Lock));
    try {
      const std::lock_guard waits{table};
    } catch (const DeadlockError&) {
      ++told;
    }
    EXPECT_EQ(told, 1);
    mine.unlock();
    EXPECT_EQ(reader.join(), Ending::Returned);
    EXPECT_EQ(told, 1);
  });
}

}  // namespace
}  // namespace weft::test
