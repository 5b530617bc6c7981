// Deadlocks that span processes: who is found, by name, and who must not be.

#include <weft/sync/deadlock.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/process/lock.hpp>
#include <weft/process/pool.hpp>
#include <weft/process/process.hpp>
#include <weft/process/process_pool_executor.hpp>
#include <weft/process/rlock.hpp>

#include "process/children.hpp"
#include "process/process_kinds.hpp"
#include "process/sync/wait_board.hpp"
#include "process/sync_child.hpp"
#include "process/told.hpp"
#include "support/standstill.hpp"
#include "support/world.hpp"

namespace weft::test {
namespace {

using detail::WaitKind;
using process::detail::Told;
using process::detail::WaitBoard;

constexpr int kWasVictim = 7;

// ---- what children do -----------------------------------------------------------------------------------------------

int lock_and_tell(process::Lock& lock, const OwnedFd& out) {
  try {
    const std::lock_guard guard{lock};
    return 0;
  } catch (const DeadlockError& error) {
    tell(out, error.what());
    return kWasVictim;
  }
}

void wait_for_lock(bool in_fiber, process::Lock lock, OwnedFd go, OwnedFd out) {
  wait_for_go(go);
  int code = 0;
  const auto body = [&] { code = lock_and_tell(lock, out); };
  if (in_fiber) {
    Runtime runtime{{.workers = 1}};
    runtime.run(body);
  } else {
    body();
  }
  std::exit(code);
}

/// Takes one lock, says so, and then another one.
void take_both(process::Lock first, process::Lock second, OwnedFd out, OwnedFd go, OwnedFd errors) {
  const std::lock_guard guard{first};
  tell(out, "1");
  wait_for_go(go);
  std::_Exit(lock_and_tell(second, errors));
}

void try_for_a_while(process::Lock lock, OwnedFd go) {
  wait_for_go(go);
  std::_Exit(lock.try_lock_for(1500ms) ? 1 : 0);
}

/// In ascending order, so that no circle is possible; but each is often found held by one that waits for another, and for long.
void take_in_order(process::Lock a, process::Lock b, process::Lock c, int seed) {
  process::Lock* const locks[] = {&a, &b, &c};
  std::minstd_rand chance{static_cast<unsigned>(seed)};
  try {
    for (int round = 0; round < 8; ++round) {
      const std::size_t first = chance() % 2;
      const std::size_t second = first + 1 + chance() % (2 - first);
      const std::lock_guard outer{*locks[first]};
      sleep_for(std::chrono::milliseconds{chance() % 60});
      const std::lock_guard inner{*locks[second]};
      sleep_for(std::chrono::milliseconds{chance() % 120});
    }
  } catch (const DeadlockError&) {
    std::_Exit(kWasVictim);
  }
}

void wait_beside_another_thread(process::Lock lock, OwnedFd go) {
  std::thread{[go = std::move(go)] {
    wait_for_go(go);
    std::_Exit(5);
  }}.detach();
  const std::lock_guard guard{lock};
}

/// The other thread is none of weft's, and ends long after everything else has come to rest, which nobody is told of.
void wait_beside_a_thread_that_ends(process::Lock lock, OwnedFd go, OwnedFd out) {
  report_standstill_after(Duration::zero());  // which keeps the search awake, and is inherited by fork
  wait_for_go(go);
  std::thread{[] { ::usleep(3'000'000); }}.detach();
  std::_Exit(lock_and_tell(lock, out));
}

/// Until so many have said that they hold their first lock.
bool soon_hold(Report& held, std::size_t count) {
  std::string said;
  for (std::string more = "more"; said.size() < count && !more.empty(); said += more) more = held.read_some();
  return said.size() == count;
}

// ---- in the parent --------------------------------------------------------------------------------------------------

class FamilyDeadlocks : public testing::TestWithParam<std::tuple<WorldKind, StartMethod>> {
 protected:
  static void SetUpTestSuite() {
    process::start_forkserver();
    LeakFree::SetUpTestSuite();
  }
  static void TearDownTestSuite() { LeakFree::TearDownTestSuite(); }

  void SetUp() override {
    set_deadlock_hook([this](const std::string& report) {
      const std::lock_guard guard{reports_lock_};
      reports_.push_back(report);
    });
  }
  void TearDown() override {
    set_deadlock_policy(DeadlockPolicy::Throw);
    set_deadlock_hook({});
    report_standstill_after(kStandstillTold);
  }

  [[nodiscard]] std::vector<std::string> reports() {
    const std::lock_guard guard{reports_lock_};
    return reports_;
  }
  template <class F, class... Args>
  [[nodiscard]] static Process child(const char* name, F&& callable, Args&&... args) {
    Process process{std::get<StartMethod>(GetParam()), std::forward<F>(callable), std::forward<Args>(args)...};
    process.set_name(name).start();
    return process;
  }
  /// A context that holds the lock and waits for the end of a child, which `start` starts.
  template <class Start>
  [[nodiscard]] Runner join_with(process::Lock& lock, Process& started, Start start) {
    return world_.spawn([&lock, &started, start = std::move(start)]() mutable {
      const std::lock_guard guard{lock};
      started = start();
      started.join();
    });
  }
  [[nodiscard]] static bool in_fibers() { return std::get<WorldKind>(GetParam()).of == WorldKind::Of::Fibers; }

  World world_{std::get<WorldKind>(GetParam())};

 private:
  std::mutex reports_lock_;
  std::vector<std::string> reports_;
};

std::string name_of_place(const testing::TestParamInfo<FamilyDeadlocks::ParamType>& place) {
  return std::string{std::get<WorldKind>(place.param).name} + '_' + name_of_method({std::get<StartMethod>(place.param), 0});
}
INSTANTIATE_TEST_SUITE_P(Everywhere, FamilyDeadlocks, testing::Combine(testing::Values(kThreads, kFibers2), kAllMethods),
                         name_of_place);

void expect_names(const std::string& report, const std::vector<std::string>& names) {
  for (const std::string& name : names) EXPECT_NE(report.find(name), std::string::npos) << name << " is not in\n" << report;
}

TEST_P(FamilyDeadlocks, AJoinOfAChildThatWaitsForALockOfTheOneWhoJoinsEnds) {
  process::Lock lock{"shared"};
  Report go, errors;
  Process waiter;
  std::string error;
  Runner parent = world_.spawn([&] {
    {
      const std::lock_guard guard{lock};
      waiter = child("waiter", wait_for_lock, in_fibers(), lock, std::move(go.reading), std::move(errors.writing));
      go.go();
      ASSERT_TRUE(soon_tells(waiter.pid()));
      try {
        waiter.join();
      } catch (const DeadlockError& deadlock) {
        error = deadlock.what();
      }
    }
    waiter.join();
  });
  EXPECT_EQ(parent.join(), Ending::Returned);
  expect_names(error, {"2 contexts of 2 processes wait for each other", "the end of Process \"waiter\"", "Lock \"shared\"",
                       "of process \"waiter\" (pid " + std::to_string(waiter.pid()) + ')', "of process \"MainProcess\""});
  EXPECT_EQ(waiter.exitcode(), 0) << errors.read_all();
  EXPECT_EQ(reports(), std::vector{error});
}

TEST_P(FamilyDeadlocks, AChildThatBlocksLastIsTheOneThatIsTold) {
  process::Lock lock{"shared"};
  Report go, errors;
  Process waiter;
  Runner parent = join_with(lock, waiter, [&] {
    return child("waiter", wait_for_lock, in_fibers(), lock, std::move(go.reading), std::move(errors.writing));
  });
  ASSERT_TRUE(parent.soon_waits_in(WaitKind::Process));
  go.go();
  EXPECT_EQ(parent.join(), Ending::Returned);
  EXPECT_EQ(waiter.exitcode(), kWasVictim);
  expect_names(errors.read_some(), {"Lock \"shared\"", "of process \"waiter\"", "the end of Process \"waiter\""});
  EXPECT_TRUE(reports().empty()) << "it is told of where the wait is ended";
}

TEST_P(FamilyDeadlocks, OneWhoseProcessSleepsByThenIsAskedAgain) {
  report_standstill_after(Duration::zero());  // which keeps the search awake
  process::Lock lock{"shared"};
  Report go, errors;
  Process waiter;
  Runner parent = join_with(lock, waiter, [&] {
    return child("waiter", wait_for_lock, in_fibers(), lock, std::move(go.reading), std::move(errors.writing));
  });
  ASSERT_TRUE(parent.soon_waits_in(WaitKind::Process));
  ASSERT_TRUE(soon_looks_no_more(::getpid()));
  const Stopwatch watch;
  go.go();
  EXPECT_EQ(parent.join(), Ending::Returned);
  EXPECT_EQ(waiter.exitcode(), kWasVictim);
  RecordProperty("found_after_ms", static_cast<int>(watch.elapsed() / 1ms));
}

// As a thread of weft's that has been started and not got a processor yet: till it is known the child might do anything.
TEST_P(FamilyDeadlocks, OneWhoseOtherThreadEndsLaterIsFoundThen) {
  process::Lock lock{"shared"};
  Report go, errors;
  Process waiter;
  Runner parent = join_with(lock, waiter, [&] {
    return child("waiter", wait_beside_a_thread_that_ends, lock, std::move(go.reading), std::move(errors.writing));
  });
  ASSERT_TRUE(parent.soon_waits_in(WaitKind::Process));
  go.go();
  EXPECT_EQ(parent.join(), Ending::Returned);
  EXPECT_EQ(waiter.exitcode(), kWasVictim);
}

TEST_P(FamilyDeadlocks, TwoLocksTakenInBothOrdersByParentAndChildEndOneOfThem) {
  process::Lock first{"first"}, second{"second"};
  Report held, go, errors;
  int victims = 0;
  Process other;
  Runner parent = world_.spawn([&] {
    const std::lock_guard guard{first};
    other = child("other", take_both, second, first, std::move(held.writing), std::move(go.reading), std::move(errors.writing));
    ASSERT_EQ(held.read_some(), "1");
    go.go();
    try {
      const std::lock_guard both{second};
    } catch (const DeadlockError& error) {
      ++victims;
      expect_names(error.what(), {"Lock \"first\"", "Lock \"second\"", "of process \"other\""});
    }
  });
  EXPECT_EQ(parent.join(), Ending::Returned);
  other.join();
  if (other.exitcode() == kWasVictim) ++victims;
  EXPECT_EQ(victims, 1);
}

TEST_P(FamilyDeadlocks, TwoChildrenEndWithoutAnActOfTheirParent) {
  process::Lock first{"first"}, second{"second"};
  Report held, go, errors;
  Process one = child("one", take_both, first, second, OwnedFd::duplicate(held.writing.get()), OwnedFd::duplicate(go.reading.get()),
                      OwnedFd::duplicate(errors.writing.get()));
  Process other = child("other", take_both, second, first, OwnedFd::duplicate(held.writing.get()),
                        OwnedFd::duplicate(go.reading.get()), OwnedFd::duplicate(errors.writing.get()));
  ASSERT_TRUE(soon_hold(held, 2));
  go.go(2);
  one.join();
  other.join();
  EXPECT_EQ(one.exitcode().value() + other.exitcode().value(), kWasVictim);
  expect_names(errors.read_some(), {"process \"one\"", "process \"other\"", "Lock \"first\"", "Lock \"second\""});
}

TEST_P(FamilyDeadlocks, ThreeChildrenInACircleEndOneOfThem) {
  process::Lock a{"a"}, b{"b"}, c{"c"};
  Report held, go, errors;
  const auto start = [&](const char* name, const process::Lock& first, const process::Lock& second) {
    return child(name, take_both, first, second, OwnedFd::duplicate(held.writing.get()), OwnedFd::duplicate(go.reading.get()),
                 OwnedFd::duplicate(errors.writing.get()));
  };
  std::vector<Process> all{start("one", a, b), start("two", b, c), start("three", c, a)};
  ASSERT_TRUE(soon_hold(held, 3));
  go.go(3);
  int sum = 0;
  for (Process& one : all) {
    one.join();
    sum += one.exitcode().value();
  }
  EXPECT_EQ(sum, kWasVictim);
}

/// A context of this process joins a child, which waits for a lock that the context holds. Until end(), as it is only reported.
class FamilyDeadlocksThatLast : public FamilyDeadlocks {
 protected:
  void SetUp() override {
    FamilyDeadlocks::SetUp();
    set_deadlock_policy(DeadlockPolicy::Report);
    parent_ = world_.spawn([this] {
      const std::lock_guard guard{lock_};
      waiter_ = child("waiter", wait_for_lock, in_fibers(), lock_, std::move(go_.reading), std::move(errors_.writing));
      go_.go();
      ASSERT_TRUE(soon_tells(waiter_.pid()));
      joins_ = true;
      waiter_.join();
    });
    ASSERT_TRUE(eventually([&] { return !reports().empty(); }));
    ASSERT_TRUE(joins_);
  }
  void end() {
    waiter_.kill();
    EXPECT_EQ(parent_.join(), Ending::Returned);
    EXPECT_EQ(waiter_.exitcode(), -SIGKILL);
  }

  Process waiter_;

 private:
  process::Lock lock_{"shared"};
  Report go_, errors_;
  std::atomic<bool> joins_{false};
  Runner parent_;
};
INSTANTIATE_TEST_SUITE_P(Everywhere, FamilyDeadlocksThatLast, testing::Combine(testing::Values(kThreads, kFibers2), kAllMethods),
                         name_of_place);

TEST_P(FamilyDeadlocksThatLast, AreReportedOnce) {
  ASSERT_TRUE(tell_for_long({::getpid()}));
  EXPECT_EQ(reports().size(), 1u);
  end();
}

TEST_P(FamilyDeadlocksThatLast, AreKnownAgainWhenTheOtherProcessHasNotLookedForLong) {
  ASSERT_EQ(::kill(waiter_.pid(), SIGSTOP), 0);
  // Until what it told is too old to prove anything, and this process has looked since.
  const auto looked_at = [](pid_t pid) {
    const std::optional<Told> told = told_by(pid);
    return told ? told->looks[0].begin : 0;
  };
  EXPECT_TRUE(eventually([&] { return looked_at(::getpid()) - looked_at(waiter_.pid()) > 1'200'000'000; }));
  ASSERT_EQ(::kill(waiter_.pid(), SIGCONT), 0);
  EXPECT_TRUE(tell_for_long({waiter_.pid(), ::getpid()}));
  EXPECT_EQ(reports().size(), 1u);
  end();
}

// ---- pools ----------------------------------------------------------------------------------------------------------

int lock_in_task(process::Lock lock) {
  const std::lock_guard guard{lock};
  return ::getpid();
}
int pass_then_lock(OwnedFd entrance, process::Lock lock) {
  pass(entrance);
  return lock_in_task(std::move(lock));
}
/// Whether a context of this process has told that it waits for a result.
bool waits_in_a_future(std::uint64_t context) {
  const std::optional<Told> told = told_by(::getpid());
  return told && std::any_of(told->waits.begin(), told->waits.end(), [&](const process::detail::ToldWait& wait) {
           return wait.context == context && wait.kind == WaitKind::Future;
         });
}
int try_in_task(process::Lock lock) { return lock.try_lock_for(1500ms) ? 1 : 0; }

class FamilyPools : public FamilyDeadlocks {
 protected:
  /// In a context of the world, with a pool whose workers wait for a lock that the context holds.
  void with_pool(ProcessPoolExecutor::Config config, const std::function<void(ProcessPoolExecutor&, process::Lock&)>& body) {
    config.start_method = std::get<StartMethod>(GetParam());
    config.name = "crew";
    Runner parent = world_.spawn([&] {
      process::Lock lock{"of the parent"};
      ProcessPoolExecutor pool{config};
      std::unique_lock guard{lock};
      body(pool, lock);
      guard.unlock();
      pool.shutdown();
    });
    EXPECT_EQ(parent.join(), Ending::Returned);
  }
  [[nodiscard]] static bool soon_tell(const ProcessPoolExecutor& pool, std::size_t workers) {
    return eventually([&] {
      const std::vector<int> pids = pool.pids();
      return pids.size() == workers && std::all_of(pids.begin(), pids.end(), [](int pid) { return told_by(pid).has_value(); });
    });
  }
};
INSTANTIATE_TEST_SUITE_P(Everywhere, FamilyPools, testing::Combine(testing::Values(kThreads, kFibers2), kAllMethods),
                         name_of_place);

TEST_P(FamilyPools, AResultOfAWorkerThatWaitsForALockOfTheWaiterIsNotWaitedForForEver) {
  with_pool({.max_workers = 1}, [&](ProcessPoolExecutor& pool, process::Lock& lock) {
    Future<int> result = pool.submit(lock_in_task, lock);
    ASSERT_TRUE(soon_tell(pool, 1));
    std::string error;
    try {
      (void)result.get();
    } catch (const DeadlockError& deadlock) {
      error = deadlock.what();
    }
    expect_names(error, {"Future begun at ProcessPoolExecutor \"crew\" (1 worker)", "Lock \"of the parent\"", "process \"crew_0\""});
    lock.unlock();
    EXPECT_EQ(result.get(), pool.pids().at(0));
    lock.lock();
  });
}

TEST_P(FamilyPools, AResultInLineBehindWorkersThatAllWaitForTheWaiterIsNotWaitedForForEver) {
  with_pool({.max_workers = 2}, [&](ProcessPoolExecutor& pool, process::Lock& lock) {
    Future<int> one = pool.submit(lock_in_task, lock);
    Future<int> other = pool.submit(lock_in_task, lock);
    ASSERT_TRUE(soon_tell(pool, 2));
    Future<int> last = pool.submit(own_pid);
    std::string error;
    try {
      (void)last.get();
    } catch (const DeadlockError& deadlock) {
      error = deadlock.what();
    }
    expect_names(error, {"Future in line at ProcessPoolExecutor \"crew\" (2 workers)", "3 contexts of 3 processes",
                         "process \"crew_0\"", "process \"crew_1\""});
    lock.unlock();
    EXPECT_NE(one.get(), other.get());
    (void)last.get();
    lock.lock();
  });
}

/// Its wait is the older one then, so that the other one is ended.
bool soon_tells_of_a_worker(const process::Pool& pool) {
  return eventually([&] {
    const std::vector<int> pids = pool.pids();
    return std::any_of(pids.begin(), pids.end(), [](int pid) { return told_by(pid).has_value(); });
  });
}

TEST_P(FamilyPools, TheEndOfAPoolWhoseWorkerWaitsForALockOfTheWaiterIsNotWaitedForForEver) {
  Runner parent = world_.spawn([&] {
    process::Lock lock{"of the parent"};
    process::Pool pool{{.processes = 2, .start_method = std::get<StartMethod>(GetParam()), .name = "crew"}};
    std::unique_lock guard{lock};
    Future<int> one = pool.apply_async(lock_in_task, lock);
    ASSERT_TRUE(soon_tells_of_a_worker(pool));
    pool.close();
    std::string error;
    try {
      pool.join();
    } catch (const DeadlockError& deadlock) {
      error = deadlock.what();
    }
    expect_names(error, {"the end of work at Pool \"crew\" (2 workers)", "Lock \"of the parent\""});
    guard.unlock();
    pool.join();
    EXPECT_TRUE(one.done());
  });
  EXPECT_EQ(parent.join(), Ending::Returned);
}

TEST_P(FamilyPools, ResultsOfAMapThatWaitsForALockOfTheWaiterAreNotWaitedForForEver) {
  Runner parent = world_.spawn([&] {
    process::Lock lock{"of the parent"};
    process::Pool pool{{.processes = 1, .start_method = std::get<StartMethod>(GetParam()), .name = "crew"}};
    std::unique_lock guard{lock};
    auto all = pool.map_async(lock_in_task, std::vector<process::Lock>(2, lock), 1);
    ASSERT_TRUE(soon_tells_of_a_worker(pool));
    EXPECT_THROW((void)all.get(), DeadlockError);
    guard.unlock();
    EXPECT_EQ(all.get().size(), 2U);
  });
  EXPECT_EQ(parent.join(), Ending::Returned);
}

TEST_P(FamilyPools, RoomInAPoolWhoseWorkersAllWaitForTheSubmitterIsNotWaitedForForEver) {
  with_pool({.max_workers = 1, .max_pending = 1}, [&](ProcessPoolExecutor& pool, process::Lock& lock) {
    Future<int> one = pool.submit(lock_in_task, lock);
    ASSERT_TRUE(soon_tell(pool, 1));
    Future<int> other = pool.submit(lock_in_task, lock);
    std::string error;
    try {
      (void)pool.submit(own_pid);
    } catch (const DeadlockError& deadlock) {
      error = deadlock.what();
    }
    expect_names(error, {"room at ProcessPoolExecutor \"crew\" (1 worker)", "Lock \"of the parent\""});
    lock.unlock();
    EXPECT_EQ(one.get(), other.get());
    EXPECT_EQ(pool.submit(own_pid).get(), pool.pids().at(0));
    lock.lock();
  });
}

TEST_P(FamilyPools, ATaskThatBlocksLastFailsByItsOwnError) {
  with_pool({.max_workers = 1}, [&](ProcessPoolExecutor& pool, process::Lock& lock) {
    Gate gate;
    Future<int> result = pool.submit(pass_then_lock, gate.entrance(), lock);
    const std::uint64_t self = detail::current_context_id();
    std::thread opener{[&] {
      EXPECT_TRUE(eventually([&] { return waits_in_a_future(self); }));
      gate.open();
    }};
    try {
      (void)result.get();
      ADD_FAILURE() << "the task has got the lock";
    } catch (const std::exception& error) {
      expect_names(error.what(), {"Lock \"of the parent\""});
    }
    opener.join();
  });
}

TEST_P(FamilyPools, ATaskThatWaitsWithADeadlineIsPartOfNone) {
  with_pool({.max_workers = 2}, [&](ProcessPoolExecutor& pool, process::Lock& lock) {
    Future<int> waits = pool.submit(try_in_task, lock);
    Future<int> goes_on = pool.submit(own_pid);
    (void)goes_on.get();
    EXPECT_EQ(waits.get(), 0);
  });
  EXPECT_TRUE(reports().empty());
}

TEST_P(FamilyPools, ALimitOfATaskKeepsThemFromBeingPartOfOne) {
  with_pool({.max_workers = 1, .task_timeout = 1500ms}, [&](ProcessPoolExecutor& pool, process::Lock& lock) {
    EXPECT_THROW((void)pool.submit(lock_in_task, lock).get(), TimeoutError);
  });
  EXPECT_TRUE(reports().empty());
}

// ---- what is none ---------------------------------------------------------------------------------------------------

TEST_P(FamilyDeadlocks, AWaitWithADeadlineIsPartOfNone) {
  process::Lock lock{"shared"};
  Report go;
  Process waiter;
  Runner parent = world_.spawn([&] {
    const std::lock_guard guard{lock};
    waiter = child("waiter", try_for_a_while, lock, std::move(go.reading));
    go.go();
    waiter.join();
  });
  EXPECT_EQ(parent.join(), Ending::Returned);
  EXPECT_EQ(waiter.exitcode(), 0);
  EXPECT_TRUE(reports().empty());
}

TEST_P(FamilyDeadlocks, AJoinWithADeadlineIsPartOfNone) {
  process::Lock lock{"shared"};
  Report go, errors;
  Process waiter;
  Runner parent = world_.spawn([&] {
    {
      const std::lock_guard guard{lock};
      waiter = child("waiter", wait_for_lock, in_fibers(), lock, std::move(go.reading), std::move(errors.writing));
      go.go();
      EXPECT_FALSE(waiter.join_for(1500ms));
    }
    waiter.join();
  });
  EXPECT_EQ(parent.join(), Ending::Returned);
  EXPECT_EQ(waiter.exitcode(), 0) << errors.read_all();
  EXPECT_TRUE(reports().empty());
}

TEST_P(FamilyDeadlocks, AThreadThatMayEndTheChildKeepsAJoinFromBeingOne) {
  process::Lock lock{"shared"};
  Report go;
  Process waiter;
  Runner parent = world_.spawn([&] {
    const std::lock_guard guard{lock};
    waiter = child("waiter", wait_beside_another_thread, lock, std::move(go.reading));
    waiter.join();
  });
  ASSERT_TRUE(parent.soon_waits_in(WaitKind::Process));
  ASSERT_TRUE(tell_for_long({waiter.pid(), ::getpid()}));
  go.go();
  EXPECT_EQ(parent.join(), Ending::Returned);
  EXPECT_EQ(waiter.exitcode(), 5);
  EXPECT_TRUE(reports().empty());
}

TEST_P(FamilyDeadlocks, LocksTakenInOneOrderArePartOfNone) {
  process::Lock a{"a"}, b{"b"}, c{"c"};
  std::vector<Process> all;
  for (int i = 0; i < 4; ++i) all.push_back(child("one in order", take_in_order, a, b, c, i + 1));
  Runner parent = world_.spawn([&] {
    for (Process& one : all) one.join();
  });
  EXPECT_EQ(parent.join(), Ending::Returned);
  for (const Process& one : all) EXPECT_EQ(one.exitcode(), 0);
  EXPECT_TRUE(reports().empty());
}

TEST_P(FamilyDeadlocks, AHolderWhoGoesOnIsNotPartOfOne) {
  process::Lock lock{"shared"}, other{"other"};
  Report held, go, errors;
  Process holder = child("holder", take_both, lock, other, std::move(held.writing), std::move(go.reading), std::move(errors.writing));
  ASSERT_EQ(held.read_some(), "1");
  Runner waiter = world_.spawn([&] {
    const std::lock_guard outer{other};
    const std::lock_guard inner{lock};
  });
  ASSERT_TRUE(waiter.soon_waits_in(WaitKind::Lock));
  ASSERT_TRUE(tell_for_long({::getpid()}));
  holder.kill();
  EXPECT_EQ(waiter.join(), Ending::Returned);
  EXPECT_TRUE(reports().empty());
  holder.join();
}

// ---- children of a plain fork() -------------------------------------------------------------------------------------

TEST(FamilyOfPlainForks, TwoLocksTakenInBothOrdersEndOneOfThem) {
  set_deadlock_hook([](const std::string&) {});
  process::Lock first{"first"}, second{"second"};
  const InSharedMemory<std::atomic<int>> held;
  const auto take = [&](process::Lock& one, process::Lock& other) {
    const std::lock_guard outer{one};
    ++*held;
    EXPECT_TRUE(eventually([&] { return *held == 2; }));
    try {
      const std::lock_guard inner{other};
      return 0;
    } catch (const DeadlockError&) {
      return 1;
    }
  };
  Child child{[&] { return take(first, second) == 0; }};
  const int victims = take(second, first);
  EXPECT_EQ(victims + child.join(), 1);
  set_deadlock_hook({});
}

// ---- the memory in which they tell ----------------------------------------------------------------------------------

Told a_text(const char* object) {
  Told told;
  told.process = process::detail::this_process_stamp();
  told.looks[0] = {1, 2};
  told.waits.resize(1);
  told.waits[0].context = 3;
  std::snprintf(told.waits[0].object, sizeof told.waits[0].object, "%s", object);
  return told;
}

TEST(WaitBoards, GiveTheSeatOfADeadProcessToTheNext) {
  WaitBoard::ensure();
  WaitBoard& board = *WaitBoard::of_family();
  const InSharedMemory<std::atomic<int>> seat;
  Child former{[&] {
    const std::optional<std::size_t> taken = board.take_seat();
    board.tell(taken.value(), a_text("former"));
    *seat = static_cast<int>(*taken);
    return true;
  }};
  ASSERT_EQ(former.join(), 0);
  ASSERT_STREQ(board.read(static_cast<std::size_t>(*seat)).value().waits[0].object, "former");
  Child next{[&] {
    const std::optional<std::size_t> taken = board.take_seat();
    if (taken != static_cast<std::size_t>(*seat)) return false;
    board.tell(*taken, a_text("next"));
    return true;
  }};
  ASSERT_EQ(next.join(), 0);
  const Told told = board.read(static_cast<std::size_t>(*seat)).value();
  EXPECT_STREQ(told.waits[0].object, "next");
  EXPECT_EQ(told.looks[0].end, 2);
}

TEST(WaitBoards, ShowWholeTextsOnly) {
  WaitBoard::ensure();
  WaitBoard& board = *WaitBoard::of_family();
  const InSharedMemory<std::atomic<int>> seat;
  *seat = -1;
  Child writer{[&] {
    const std::size_t taken = board.take_seat().value();
    for (std::uint64_t round = 0;; ++round) {
      Told told = a_text("text");
      told.waits.resize(1 + round % WaitBoard::kMostWaits);
      for (auto& wait : told.waits) wait.epoch = round;
      board.tell(taken, told);
      *seat = static_cast<int>(taken);
    }
    return true;
  }};
  ASSERT_TRUE(eventually([&] { return *seat >= 0; }));
  int read = 0;
  int torn = 0;
  const auto read_once = [&] {
    const std::optional<Told> told = board.read(static_cast<std::size_t>(*seat));
    if (!told) return;  // for as long as a writer is without a processor half way
    ++read;
    const std::uint64_t round = told->waits.front().epoch;
    bool whole = told->waits.size() == 1 + round % WaitBoard::kMostWaits;
    for (const auto& wait : told->waits) whole = whole && wait.epoch == round;
    if (!whole) ++torn;
  };
  EXPECT_TRUE(eventually([&] {
    for (int i = 0; i < 100; ++i) read_once();
    return read >= 1'000;
  }));
  EXPECT_EQ(torn, 0);
  writer.kill();
}

}  // namespace
}  // namespace weft::test
