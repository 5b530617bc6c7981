#include <weft/process/process_pool_executor.hpp>

#include <atomic>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <future>
#include <ios>
#include <map>
#include <mutex>
#include <optional>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/futures/as_completed.hpp>
#include <weft/futures/thread_pool_executor.hpp>
#include <weft/futures/wait.hpp>
#include <weft/futures/when.hpp>
#include <weft/net/address.hpp>
#include <weft/net/pack.hpp>
#include <weft/net/resolver.hpp>
#include <weft/process/array.hpp>
#include <weft/process/lock.hpp>
#include <weft/process/pickle.hpp>
#include <weft/queue/queue.hpp>
#include <weft/queue/select.hpp>
#include <weft/sync/event.hpp>
#include <weft/sync/lock.hpp>
#include <weft/sync/scope.hpp>

#include "port/debug_info.hpp"
#include "process/process_kinds.hpp"
#include "support/stress.hpp"
#include "support/world.hpp"

// What an executor of processes shares with all others, and what it adds.
namespace weft::test {
namespace {

static_assert(Executor<ProcessPoolExecutor>);

// ---- what all executors promise alike, with work that can be sent ----------------------------------------------------

template <class Of, class Where>
struct Kind {
  using Executor = Of;
  using Place = Where;
};
using Kinds = testing::Types<Kind<ProcessPoolExecutor, FromAThread>, Kind<ProcessPoolExecutor, FromAFiber>,
                             Kind<ThreadPoolExecutor, FromAThread>, Kind<ThreadPoolExecutor, FromAFiber>>;

template <class Of>
class SentWorkConformance : public testing::Test {
 protected:
  template <class Body>
  static void with(unsigned workers, Body body) {
    Of::Place::run([&] {
      typename Of::Executor pool{workers};
      body(pool);
    });
  }
};
TYPED_TEST_SUITE(SentWorkConformance, Kinds);

int throw_out_of_range(int at) { throw std::out_of_range{"at " + std::to_string(at)}; }

TYPED_TEST(SentWorkConformance, SubmitGivesTheResult) {
  this->with(2, [](auto& pool) {
    Future<int> future = pool.submit(twice, 21);
    EXPECT_EQ(future.get(), 42);
    EXPECT_TRUE(future.done());
    EXPECT_FALSE(future.running());
    EXPECT_FALSE(future.cancelled());
    EXPECT_EQ(pool.submit([](const std::string& a, int n) { return a + std::to_string(n); }, std::string{"a"}, 1).get(), "a1");
    pool.submit([] {}).get();
  });
}

TYPED_TEST(SentWorkConformance, AnExceptionReachesTheCaller) {
  this->with(2, [](auto& pool) {
    Future<int> future = pool.submit(throw_out_of_range, 7);
    for (int i = 0; i < 2; ++i) {
      try {
        (void)future.get();
        ADD_FAILURE() << "nothing thrown";
      } catch (const std::out_of_range& error) {
        EXPECT_STREQ(error.what(), "at 7");
      }
    }
    EXPECT_FALSE(pool.submit(twice, 1).exception());
  });
}

TYPED_TEST(SentWorkConformance, MapGivesResultsInOrder) {
  this->with(3, [](auto& pool) {
    std::vector<int> numbers(50);
    std::iota(numbers.begin(), numbers.end(), 0);
    for (const std::size_t chunk : {std::size_t{1}, std::size_t{7}, std::size_t{100}}) {
      for (const std::size_t ahead : {std::size_t{0}, std::size_t{1}, std::size_t{4}}) {
        std::vector<int> results;
        const MapOptions options{.chunk_size = chunk, .look_ahead = ahead};
        for (int result : pool.map(options, twice, numbers)) results.push_back(result);
        ASSERT_EQ(results.size(), numbers.size());
        for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i], 2 * numbers[i]);
      }
    }
    const std::vector<int> none;
    for (int result : pool.map(twice, none)) ADD_FAILURE() << result;
  });
}

TYPED_TEST(SentWorkConformance, MapTakesSeveralRangesInStep) {
  this->with(2, [](auto& pool) {
    const std::vector<int> numbers{1, 2, 3, 4};
    const std::vector<std::string> texts{"a", "b", "c"};
    std::string all;
    for (const std::string& part : pool.map([](int n, const std::string& t) { return t + std::to_string(n); }, numbers, texts)) {
      all += part;
    }
    EXPECT_EQ(all, "a1b2c3");
  });
}

TYPED_TEST(SentWorkConformance, WaitAsCompletedAndWhenAllTakeItsFutures) {
  this->with(2, [](auto& pool) {
    std::vector<Future<int>> futures;
    for (int i = 0; i < 200; ++i) futures.push_back(pool.submit(twice, i));
    EXPECT_TRUE(wait(futures).not_done.empty());
    futures.clear();
    for (int i = 0; i < 200; ++i) futures.push_back(pool.submit(twice, i));
    long sum = 0;
    for (Future<int>& done : as_completed(futures, kPatience)) sum += done.get();
    EXPECT_EQ(sum, 200 * 199);
    futures.clear();
    for (int i = 0; i < 10; ++i) futures.push_back(pool.submit(twice, i));
    const std::vector<int> all = when_all(std::move(futures)).get();
    EXPECT_EQ(std::accumulate(all.begin(), all.end(), 0), 90);
  });
}

TYPED_TEST(SentWorkConformance, CallbacksAreCalledOnceEach) {
  this->with(2, [](auto& pool) {
    std::atomic<int> at_once{0};
    std::atomic<int> calls{0};
    std::vector<Future<int>> futures;
    for (int i = 0; i < 50; ++i) {
      futures.push_back(pool.submit(twice, i));
      futures.back().add_done_callback([&, i](Future<int>& done) {
        ++at_once;
        EXPECT_EQ(done.result(), 2 * i);
        --at_once;
        ++calls;
      });
    }
    EXPECT_TRUE(eventually([&] { return calls == 50; }));
    EXPECT_EQ(at_once, 0);
  });
}

TYPED_TEST(SentWorkConformance, ShutdownFinishesTheWorkAndRefusesMore) {
  this->with(2, [](auto& pool) {
    std::vector<Future<int>> futures;
    for (int i = 0; i < 100; ++i) futures.push_back(pool.submit(twice, i));
    pool.shutdown();
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(futures[static_cast<std::size_t>(i)].done());
    EXPECT_THROW((void)pool.submit(twice, 1), ShutDown);
    pool.shutdown();
    EXPECT_EQ(futures[3].get(), 6);
  });
}

// ---- its own ---------------------------------------------------------------------------------------------------------

template <class Place>
class ProcessExecutor : public testing::Test {};
TYPED_TEST_SUITE(ProcessExecutor, Places);

TYPED_TEST(ProcessExecutor, WorksInOtherProcessesWhichAreUsedAgain) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{2};
    EXPECT_EQ(pool.workers(), 0U) << "none before there is work";
    std::set<int> pids;
    for (int i = 0; i < 50; ++i) pids.insert(pool.submit(own_pid).get());
    EXPECT_LE(pids.size(), 2U);
    EXPECT_EQ(pids.count(::getpid()), 0U);
    for (int pid : pids) EXPECT_FALSE(is_gone(pid));
    pool.shutdown();
    for (int pid : pids) EXPECT_TRUE(is_gone(pid)) << "and buried";
  });
}

TYPED_TEST(ProcessExecutor, AsManyWorkersAsThereIsWorkForAndNoMoreThanMayBe) {
  TypeParam::run([] {
    Gate gate;
    ProcessPoolExecutor pool{3};
    std::vector<Future<int>> futures;
    for (int i = 0; i < 5; ++i) futures.push_back(pool.submit(pass_then_pid, gate.entrance()));
    EXPECT_TRUE(eventually([&] { return futures[0].running() && futures[1].running() && futures[2].running(); }));
    EXPECT_EQ(pool.workers(), 3U);
    EXPECT_FALSE(futures[3].running());
    gate.open();
    std::set<int> pids;
    for (Future<int>& future : futures) pids.insert(future.get());
    EXPECT_EQ(pids.size(), 3U);
  });
}

TYPED_TEST(ProcessExecutor, WhatHasNotBegunCanBeCancelledAndWhatHasCannot) {
  TypeParam::run([] {
    Gate gate;
    Tally tally;
    ProcessPoolExecutor pool{1};
    Future<int> first = pool.submit(pass_then_pid, gate.entrance());
    std::vector<Future<int>> others;
    for (int i = 0; i < 100; ++i) others.push_back(pool.submit(twice, i));
    Future<void> counted = pool.submit([](OwnedFd t) { Tally::add(t); }, tally.share());
    EXPECT_TRUE(eventually([&] { return first.running(); }));
    EXPECT_FALSE(first.cancel());
    for (std::size_t i = 0; i < 100; i += 2) {
      EXPECT_FALSE(others[i].running());
      EXPECT_TRUE(others[i].cancel()) << "in the worker's ring, or in line: it has not begun";
      EXPECT_TRUE(others[i].cancel()) << "again";
      EXPECT_TRUE(others[i].cancelled());
      EXPECT_THROW((void)others[i].get(), CancelledError);
    }
    EXPECT_TRUE(counted.cancel());
    gate.open();
    for (std::size_t i = 1; i < 100; i += 2) EXPECT_EQ(others[i].get(), 2 * static_cast<int>(i));
    pool.shutdown();
    EXPECT_EQ(tally.count(), 0);
    EXPECT_FALSE(first.cancel());
    EXPECT_NE(first.get(), 0);
  });
}

TYPED_TEST(ProcessExecutor, TasksBehindALongOneGoToAnotherWorker) {
  TypeParam::run([] {
    Gate gate;
    ProcessPoolExecutor pool{2};
    // Both have much in their rings when one of them gets stuck.
    std::vector<Future<int>> futures;
    for (int i = 0; i < 40; ++i) futures.push_back(pool.submit(twice, i));
    Future<int> stuck = pool.submit(pass_then_pid, gate.entrance());
    for (int i = 40; i < 200; ++i) futures.push_back(pool.submit(twice, i));
    for (int i = 0; i < 200; ++i) EXPECT_EQ(futures[static_cast<std::size_t>(i)].get_for(kPatience), 2 * i);
    EXPECT_FALSE(stuck.done());
    gate.open();
    stuck.wait();
  });
}

TYPED_TEST(ProcessExecutor, TimedWaitsGiveUpAndTheWorkGoesOn) {
  TypeParam::run([] {
    Gate gate;
    ProcessPoolExecutor pool{1};
    Future<int> future = pool.submit(pass_then_pid, gate.entrance());
    EXPECT_FALSE(future.wait_for(5ms));
    EXPECT_EQ(future.get_for(5ms), std::nullopt);
    EXPECT_EQ(future.try_get(), std::nullopt);
    {
      const DeadlineScope soon{5ms};
      EXPECT_THROW((void)future.get(), TimeoutError);
    }
    gate.open();
    EXPECT_NE(future.get_for(kPatience), std::nullopt);
  });
}

TEST(ProcessExecutorWaits, AThreadAndFibersThatWaitAreKilledOrServedAlike) {
  Gate gate;
  ProcessPoolExecutor pool{2};
  Future<int> stuck = pool.submit(pass_then_pid, gate.entrance());
  Runtime elsewhere{{.workers = 2, .stack_bytes = 1024 * 1024}};
  Fiber<void> doomed = elsewhere.spawn([&] { (void)stuck.get(); });
  std::vector<Fiber<int>> others;
  for (int i = 0; i < 20; ++i) {
    others.push_back(elsewhere.spawn([&pool, i] {
      int sum = 0;
      for (int k = 0; k < 50; ++k) sum += pool.submit(twice, i).get();
      return sum;
    }));
  }
  for (int i = 0; i < 20; ++i) EXPECT_EQ(others[static_cast<std::size_t>(i)].get(), 100 * i);
  doomed.kill();
  EXPECT_THROW(doomed.get(), CancelledError);
  gate.open();
  EXPECT_NE(stuck.get(), 0);
}

TYPED_TEST(ProcessExecutor, SelectWaitsForItsFutures) {
  TypeParam::run([] {
    Gate gate;
    ProcessPoolExecutor pool{1};
    Queue<int> queue;
    Future<int> future = pool.submit(pass_then_pid, gate.entrance());
    int got = 0;
    const auto once = [&] {
      return select(future.on_done([&] { got = 9; }), queue.on_get([&](int item) { got = item; }));
    };
    queue.put(1);
    EXPECT_EQ(once(), 1U);
    gate.open();
    EXPECT_EQ(once(), 0U);
    EXPECT_EQ(got, 9);
  });
}

TYPED_TEST(ProcessExecutor, CallbacksRunInThisProcessOneAtATime) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{3};
    const int here = ::getpid();
    std::atomic<int> at_once{0};
    std::atomic<int> most{0};
    std::atomic<int> calls{0};
    Gate gate;  // so that all callbacks are there before the first is done
    std::vector<Future<int>> futures;
    for (int i = 0; i < 30; ++i) {
      futures.push_back(pool.submit(pass_then_pid, gate.entrance()));
      futures.back().add_done_callback([&](Future<int>&) {
        EXPECT_EQ(::getpid(), here);
        most = std::max(most.load(), ++at_once);
        sleep_for(100us);
        --at_once;
        ++calls;
      });
    }
    gate.open();
    EXPECT_TRUE(eventually([&] { return calls == 30; }));
    EXPECT_EQ(most, 1);
  });
}

TEST(ProcessExecutorCallbacks, MayUseThePoolAndShutItDown) {
  ProcessPoolExecutor pool{1};
  Event over;
  Gate gate;
  Future<int> future = pool.submit(pass_then_pid, gate.entrance());
  future.add_done_callback([&](Future<int>&) {
    EXPECT_EQ(pool.submit(twice, 4).get(), 8);
    pool.shutdown();
    over.set();
  });
  gate.open();
  EXPECT_TRUE(over.wait_for(kPatience));
}

// ---- values and exceptions ---------------------------------------------------------------------------------------------

struct Point {
  int x;
  double y;
  std::string name;
  friend bool operator==(const Point&, const Point&) = default;
};
struct Scale {
  double by;
  Point operator()(Point p) const { return {static_cast<int>(p.x * by), p.y * by, p.name + "'"}; }
};

TYPED_TEST(ProcessExecutor, SendsWhateverIsSendable) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{2};
    EXPECT_EQ(pool.submit(Scale{2.0}, Point{1, 2.5, "p"}).get(), (Point{2, 5.0, "p'"}));
    EXPECT_EQ(pool.submit([](const std::string& text) { return text.size(); }, "literal").get(), 7U);
    const std::vector<std::string> words{"a", "b"};
    EXPECT_EQ(pool.submit([](std::vector<std::string> w) { return w; }, words).get(), words);
    EXPECT_EQ(pool.submit([](std::optional<int> n) { return n; }, std::optional<int>{}).get(), std::nullopt);
  });
}

std::string repeated(char what, std::size_t bytes) { return std::string(bytes, what); }
std::size_t length_of(const std::string& text) { return text.size(); }

TYPED_TEST(ProcessExecutor, SendsValuesOfAnySizeBothWays) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{2};
    std::vector<Future<std::string>> results;
    std::vector<Future<std::size_t>> lengths;
    const std::vector<std::size_t> sizes{0, 1, 100, 200, 215, 216, 217, 500, 5'000, 65'000, 65'536, 65'537, 200'000, 3'000'000};
    for (std::size_t size : sizes) {
      results.push_back(pool.submit(repeated, 'x', size));
      lengths.push_back(pool.submit(length_of, std::string(size, 'y')));
    }
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      EXPECT_EQ(lengths[i].get(), sizes[i]);
      EXPECT_EQ(results[i].get(), std::string(sizes[i], 'x'));
    }
  });
}

TEST(ProcessExecutorValues, AResultOfAQuarterOfAGigabyteArrives) {
  const std::size_t bytes = stressing() ? std::size_t{1} << 30 : under_address_sanitizer() ? 32U << 20 : std::size_t{256} << 20;
  ProcessPoolExecutor pool{1};
  const std::string text = pool.submit(repeated, 'z', bytes).get();
  EXPECT_EQ(text.size(), bytes);
  EXPECT_EQ(text.front(), 'z');
  EXPECT_EQ(text.back(), 'z');
}

TEST(ProcessExecutorValues, DescriptorsGoBothWaysAndAreClosedBehindThem) {
  if (process::get_start_method() == StartMethod::Fork) GTEST_SKIP() << "a worker by fork has all that is open here, too";
  ProcessPoolExecutor pool{1};
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  OwnedFd reader{ends[0]};
  {
    const OwnedFd writer{ends[1]};
    pool.submit([](OwnedFd to) { return static_cast<int>(::write(to.get(), "hello", 5)); }, OwnedFd::duplicate(writer.get())).get();
  }
  char text[16] = {};
  EXPECT_EQ(::read(reader.get(), text, sizeof text), 5);
  EXPECT_EQ(::read(reader.get(), text, sizeof text), 0) << "nobody has it any more";
  const OwnedFd made = pool.submit([] { return OwnedFd{::memfd_create("made", MFD_CLOEXEC)}; }).get();
  EXPECT_EQ(::write(made.get(), "x", 1), 1);
}

struct RefusesToBeWritten {
  int value = 0;
  void save(process::Outgoing&) const { throw std::domain_error{"not to be written"}; }
  void load(process::Incoming& in) { in(value); }
};
struct RefusesToBeRead {
  int value = 0;
  void save(process::Outgoing& out) const { out(value); }
  void load(process::Incoming&) { throw std::domain_error{"not to be read"}; }
};

template <class T>
int take(T value) { return value.value; }
template <class T>
T give() { return {}; }

TYPED_TEST(ProcessExecutor, AValueThatRefusesIsAFailureOfItsTaskAlone) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{1};
    std::vector<Future<int>> arguments;
    arguments.push_back(pool.submit(take<RefusesToBeWritten>, RefusesToBeWritten{}));
    arguments.push_back(pool.submit(take<RefusesToBeRead>, RefusesToBeRead{}));
    auto written = pool.submit(give<RefusesToBeWritten>);
    auto read = pool.submit(give<RefusesToBeRead>);
    Future<int> good = pool.submit(twice, 2);
    for (Future<int>& future : arguments) EXPECT_THROW((void)future.get(), std::domain_error);
    EXPECT_THROW((void)written.get(), std::domain_error);
    EXPECT_THROW((void)read.get(), std::domain_error);
    EXPECT_EQ(good.get(), 4);
    EXPECT_EQ(pool.workers(), 1U);
  });
}

template <class E>
void throw_standard() {
  throw E{"as it was"};
}
template <class E>
void comes_back(ProcessPoolExecutor& pool) {
  Future<void> future = pool.submit(throw_standard<E>);
  try {
    future.get();
    ADD_FAILURE() << typeid(E).name();
  } catch (const E& error) {
    EXPECT_STREQ(error.what(), "as it was");
    // Exactly that type, not one that derives from it: so it was there, and what came back derives from it only to say from where.
    const RemoteError* const origin = remote_origin(error);
    ASSERT_NE(origin, nullptr);
    EXPECT_EQ(origin->type(), port::demangled(typeid(E).name()));
  } catch (...) {
    ADD_FAILURE() << "not " << typeid(E).name();
  }
}

TEST(ProcessExecutorFailures, StandardTypesComeBackAsThemselves) {
  ProcessPoolExecutor pool{1};
  comes_back<std::runtime_error>(pool);
  comes_back<std::logic_error>(pool);
  comes_back<std::out_of_range>(pool);
  comes_back<std::invalid_argument>(pool);
  comes_back<std::overflow_error>(pool);
  comes_back<TimeoutError>(pool);
  comes_back<InvalidStateError>(pool);
  comes_back<ProtocolError>(pool);
  comes_back<AuthenticationError>(pool);
  comes_back<AddressError>(pool);
  comes_back<PackError>(pool);
  comes_back<process::PickleError>(pool);
  EXPECT_THROW(pool.submit([] { throw std::bad_alloc{}; }).get(), std::bad_alloc);
  EXPECT_THROW(pool.submit([] { throw std::bad_weak_ptr{}; }).get(), std::bad_weak_ptr);
}

/// What such an error says, and of which type its origin says that it was.
template <class E, class Check>
void comes_back_as(Future<void> future, const char* type, const char* what, Check check) {
  try {
    future.get();
    ADD_FAILURE() << "no " << type;
  } catch (const E& error) {
    EXPECT_STREQ(error.what(), what);
    const RemoteError* const origin = remote_origin(error);
    ASSERT_NE(origin, nullptr);
    EXPECT_EQ(origin->type(), type);
    check(error);
  } catch (const std::exception& error) {
    ADD_FAILURE() << "not " << type << ", but " << typeid(error).name() << ": " << error.what();
  }
}

TEST(ProcessExecutorFailures, WhatTypesKnowBeyondTheirTextComesBackWithThem) {
  ProcessPoolExecutor pool{1};
  comes_back_as<OSError>(pool.submit([] { throw OSError{ENOENT, "open", "/nowhere"}; }), "weft::OSError",
                         "open /nowhere: No such file or directory",
                         [](const OSError& error) { EXPECT_EQ(error.errno_value(), ENOENT); });
  comes_back_as<WouldBlock>(pool.submit([] { throw WouldBlock{EAGAIN, "read", "a pipe"}; }), "weft::WouldBlock",
                            "read a pipe: Resource temporarily unavailable",
                            [](const WouldBlock& error) { EXPECT_EQ(error.object(), "a pipe"); });
  comes_back_as<std::system_error>(pool.submit([] { throw std::system_error{std::make_error_code(std::errc::timed_out), "waiting"}; }),
                                   "std::system_error", "waiting: Connection timed out",
                                   [](const std::system_error& error) { EXPECT_EQ(error.code(), std::errc::timed_out); });
  comes_back_as<std::filesystem::filesystem_error>(
      pool.submit([] { std::filesystem::rename("/nowhere/a", "/nowhere/b"); }), "std::filesystem::__cxx11::filesystem_error",
      "filesystem error: cannot rename: No such file or directory [/nowhere/a] [/nowhere/b]",
      [](const std::filesystem::filesystem_error& error) {
        EXPECT_EQ(error.code(), std::errc::no_such_file_or_directory);
        EXPECT_EQ(error.path1(), "/nowhere/a");
        EXPECT_EQ(error.path2(), "/nowhere/b");
      });
  comes_back_as<std::ios_base::failure>(
      pool.submit([] { throw std::ios_base::failure{"reading", std::io_errc::stream}; }), "std::ios_base::failure[abi:cxx11]",
      "reading: iostream error", [](const std::ios_base::failure& error) { EXPECT_EQ(error.code(), std::io_errc::stream); });
  comes_back_as<std::future_error>(pool.submit([] { throw std::future_error{std::future_errc::broken_promise}; }), "std::future_error",
                                   "std::future_error: Broken promise",
                                   [](const std::future_error& error) { EXPECT_EQ(error.code(), std::future_errc::broken_promise); });
  comes_back_as<EndOfStream>(pool.submit([] { throw EndOfStream{"the peer has closed", 12}; }), "weft::EndOfStream", "the peer has closed",
                             [](const EndOfStream& error) { EXPECT_EQ(error.received(), 12U); });
  comes_back_as<ResolveError>(pool.submit([] { throw ResolveError{"no such host", -2}; }), "weft::ResolveError", "no such host",
                              [](const ResolveError& error) { EXPECT_EQ(error.code(), -2); });
}

TEST(ProcessExecutorFailures, OtherTypesComeBackAsWhatIsKnownOfThem) {
  ProcessPoolExecutor pool{{.max_workers = 1, .name = "far"}};
  const int pid = pool.submit(own_pid).get();
  try {
    pool.submit([] { throw Unlucky{"no luck"}; }).get();
    ADD_FAILURE();
  } catch (const RemoteError& error) {
    EXPECT_EQ(error.type(), "weft::test::Unlucky");
    EXPECT_EQ(error.message(), "no luck");
    EXPECT_NE(error.place().find("far_0 (pid " + std::to_string(pid)), std::string::npos) << error.place();
    EXPECT_NE(std::string{error.what()}.find("weft::test::Unlucky: no luck"), std::string::npos) << error.what();
  }
  try {
    pool.submit([] { throw 7; }).get();
    ADD_FAILURE();
  } catch (const RemoteError& error) {
    EXPECT_EQ(error.type(), "int");
  }
  EXPECT_THROW(pool.submit([] { throw Cancelled{}; }).get(), CancelledError);
}

void add_to(process::Lock gate, OwnedFd memory, int times) {
  auto* count = static_cast<volatile long*>(::mmap(nullptr, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0));
  for (int i = 0; i < times; ++i) {
    const std::lock_guard guard{gate};
    *count = *count + 1;
  }
  ::munmap(const_cast<long*>(count), sizeof(long));
}

TYPED_TEST(ProcessExecutor, ProcessLocksMayBeArguments) {
  TypeParam::run([] {
    const OwnedFd memory{::memfd_create("count", MFD_CLOEXEC)};
    ASSERT_EQ(::ftruncate(memory.get(), sizeof(long)), 0);
    process::Lock gate;
    ProcessPoolExecutor pool{3};
    std::vector<Future<void>> futures;
    for (int i = 0; i < 6; ++i) futures.push_back(pool.submit(add_to, gate, OwnedFd::duplicate(memory.get()), 500));
    for (Future<void>& future : futures) future.get();
    long count = 0;
    EXPECT_EQ(::pread(memory.get(), &count, sizeof count, 0), static_cast<ssize_t>(sizeof count));
    EXPECT_EQ(count, 3000);
  });
}

int mark_one(process::Array<int> array, std::size_t at) {
  array[at] = ::getpid();
  return ::getpid();
}

TYPED_TEST(ProcessExecutor, ALargeArrayIsSharedWithItsTasksNotCopied) {
  TypeParam::run([] {
    const process::Array<int> array{std::size_t{16} << 20};
    ProcessPoolExecutor pool{2};
    for (std::size_t at : {std::size_t{0}, array.size() / 2, array.size() - 1}) {
      EXPECT_EQ(pool.submit(mark_one, array, at).get(), array[at]);
      EXPECT_NE(array[at], ::getpid());
    }
  });
}

bool finds_no_memory() {
  rlimit limit{};
  ::getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = std::size_t{1} << 30;
  ::setrlimit(RLIMIT_AS, &limit);
  const std::vector<char> too_large(std::size_t{8} << 30);
  return too_large.empty();
}

TEST(ProcessExecutorFailures, ATaskThatFindsNoMemoryFailsAloneAndItsWorkerGoesOn) {
  if (under_address_sanitizer() || under_thread_sanitizer()) GTEST_SKIP() << "it needs more address space than that itself";
  ProcessPoolExecutor pool{1};
  const int worker = pool.submit(own_pid).get();
  EXPECT_THROW((void)pool.submit(finds_no_memory).get(), std::bad_alloc);
  EXPECT_EQ(pool.submit(own_pid).get(), worker);
}

// ---- who does what ---------------------------------------------------------------------------------------------------

/// Holds a task up as long as a file is there. Unlike with a Gate, the task brings no descriptor, whose arrival its worker tells of.
class Obstacle {
 public:
  Obstacle() : fd_{::mkstemp(path_.data())} {
    if (!fd_) throw OSError{errno, "making a file"};
  }
  Obstacle(const Obstacle&) = delete;
  Obstacle& operator=(const Obstacle&) = delete;
  ~Obstacle() { remove(); }
  void remove() const { ::unlink(path_.c_str()); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_ = testing::TempDir() + "weft-obstacle-XXXXXX";
  OwnedFd fd_;
};
int wait_until_gone(const std::string& path) {
  while (::access(path.c_str(), F_OK) == 0) ::usleep(200);
  return 1;
}

// One worker does very short tasks alone, and the other may sleep; but that is a guess.
TEST(ProcessExecutorWorkers, ATaskBehindALongOneGoesToAnotherThoughNobodyWaits) {
  ProcessPoolExecutor pool{2};
  {
    Gate both;
    Future<int> one = pool.submit(pass_then_pid, both.entrance());
    Future<int> other = pool.submit(pass_then_pid, both.entrance());
    EXPECT_TRUE(eventually([&] { return one.running() && other.running(); }));
    both.open();
    EXPECT_NE(one.get(), other.get());
  }
  for (int round = 0; round < 10; ++round) {
    std::vector<Future<int>> quick;
    for (int i = 0; i < 300; ++i) quick.push_back(pool.submit(twice, i));
    for (int i = 0; i < 300; ++i) EXPECT_EQ(quick[static_cast<std::size_t>(i)].get(), 2 * i);
    sleep_for(std::chrono::milliseconds{2});  // so that workers and dispatcher usually sleep: otherwise somebody looks anyway
    const Obstacle obstacle;
    Future<int> held = pool.submit(wait_until_gone, obstacle.path());
    std::vector<Future<int>> behind;
    for (int i = 0; i < 5; ++i) behind.push_back(pool.submit(twice, i));
    for (const Future<int>& future : behind) EXPECT_TRUE(eventually([&] { return future.done(); }));
    obstacle.remove();
    EXPECT_EQ(held.get(), 1);
  }
}

// A fiber that waits for a result is told through its runtime; others who wait are not.
TEST(ProcessExecutorWorkers, NobodyDependsOnTheRuntimeOfAFiberThatWaits) {
  ProcessPoolExecutor pool{2};
  World fibers{kFibers1};
  for (int round = 0; round < 20 && !testing::Test::HasFailure(); ++round) {
    const Obstacle obstacle;
    Runner waiting = fibers.spawn([&] { EXPECT_EQ(pool.submit(wait_until_gone, obstacle.path()).get(), 1); });
    EXPECT_TRUE(waiting.soon_waits_in(detail::WaitKind::Future));
    std::atomic<bool> goes_on{true}, has_the_worker{false};
    Runner keeper = fibers.spawn([&] {
      for (has_the_worker = true; goes_on;) ::usleep(100);
    });
    EXPECT_TRUE(eventually([&] { return has_the_worker.load(); }));
    const Future<int> of_others = pool.submit(twice, round);
    EXPECT_TRUE(eventually([&] { return of_others.done(); }));
    goes_on = false;
    obstacle.remove();
    EXPECT_EQ(waiting.join(), Ending::Returned);
    EXPECT_EQ(keeper.join(), Ending::Returned);
  }
}

// It was told of its result, but its runtime has no worker for it: others who are interested do not wait for that.
TEST(ProcessExecutorWorkers, WhatAFiberWasToldOfReachesOthersThoughItsRuntimeIsBusy) {
  World fibers{kFibers1};
  for (int round = 0; round < 10 && !testing::Test::HasFailure(); ++round) {
    ProcessPoolExecutor pool{1};
    const Obstacle obstacle;
    Future<int> future = pool.submit(wait_until_gone, obstacle.path());
    std::atomic<bool> called{false};
    future.add_done_callback([&](Future<int>&) { called = true; });
    Runner waiting = fibers.spawn([&] { future.wait(); });
    EXPECT_TRUE(waiting.soon_waits_in(detail::WaitKind::Future));
    std::atomic<bool> goes_on{true}, has_the_worker{false};
    Runner keeper = fibers.spawn([&] {
      for (has_the_worker = true; goes_on;) ::usleep(100);
    });
    EXPECT_TRUE(eventually([&] { return has_the_worker.load(); }));
    obstacle.remove();
    if (round % 2 == 0) {
      EXPECT_TRUE(eventually([&] { return called.load(); }));
    } else {
      pool.shutdown();
    }
    goes_on = false;
    EXPECT_EQ(waiting.join(), Ending::Returned);
    EXPECT_EQ(keeper.join(), Ending::Returned);
    EXPECT_TRUE(future.done());
  }
}

weft::Lock reception;  // what some results take as they are received

struct TakesALock {
  int number = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(number);
    if constexpr (Archive::is_loading::value) {
      const std::lock_guard guard{reception};
    }
  }
};
TakesALock answer(int number) { return {number}; }

// Neither who waits for another result meanwhile, and holds what the reception takes, nor who submits.
TYPED_TEST(ProcessExecutor, WhatReceivingAResultWaitsForMayUseThePool) {
  TypeParam::run([] {
    ProcessPoolExecutor pool{2};
    for (int round = 0; round < 50; ++round) {
      std::unique_lock held{reception};
      Future<TakesALock> one = pool.submit(answer, round);
      Future<TakesALock> other = pool.submit(answer, -round);
      EXPECT_EQ(pool.submit(twice, round).get(), 2 * round);
      EXPECT_FALSE(one.done());
      held.unlock();
      EXPECT_EQ(other.get().number, -round);
      EXPECT_EQ(one.get().number, round);
    }
  });
}

// ---- options -----------------------------------------------------------------------------------------------------------

int initialized = 0;
void initialize(int value) { initialized = value; }
int read_initialized() { return initialized; }

TEST(ProcessExecutorOptions, TheInitializerRunsFirstInEachWorker) {
  ProcessPoolExecutor pool{{.max_workers = 2, .initializer = {initialize, 5}}};
  std::vector<Future<int>> futures;
  for (int i = 0; i < 20; ++i) futures.push_back(pool.submit(read_initialized));
  for (Future<int>& future : futures) EXPECT_EQ(future.get(), 5);
}

// At once in the first worker.
void begin_at(const std::string& tally, const std::string& entrance) {
  const OwnedFd shared{::open(tally.c_str(), O_RDWR | O_CLOEXEC)};
  Tally::add(shared);
  if (::lseek(shared.get(), 0, SEEK_END) > 1) wait_at(entrance);
}

TEST(ProcessExecutorOptions, NothingWaitsForAWorkerThatIsSlowToStartWhileAnotherIsIdle) {
  Gate slow, busy;
  Tally started;
  const OwnedFd tally = started.share();
  const OwnedFd entrance = slow.entrance();
  ProcessPoolExecutor pool{{.max_workers = 2, .initializer = {begin_at, path_of(tally), path_of(entrance)}}};
  Future<int> running = pool.submit(pass_then_pid, busy.entrance());
  EXPECT_TRUE(eventually([&] { return running.running(); }));
  Future<int> waiting = pool.submit(own_pid);
  EXPECT_TRUE(eventually([&] { return started.count() == 2; }));
  busy.open();
  const int first = running.get();
  EXPECT_EQ(waiting.get_for(kPatience), first);
  for (int i = 0; i < 5; ++i) {
    sleep_for(5ms);  // until it sleeps
    EXPECT_EQ(pool.submit(own_pid).get_for(10s), first);
  }
  slow.open();
}

TEST(ProcessExecutorOptions, AWorkerIsReplacedAfterSoManyTasks) {
  ProcessPoolExecutor pool{{.max_workers = 1, .max_tasks_per_child = 10}};
  std::vector<Future<int>> futures;
  for (int i = 0; i < 40; ++i) futures.push_back(pool.submit(own_pid));
  std::map<int, int> tasks;
  for (Future<int>& future : futures) ++tasks[future.get()];
  EXPECT_EQ(tasks.size(), 4U);
  for (const auto& [pid, count] : tasks) EXPECT_EQ(count, 10);
}

TEST(ProcessExecutorOptions, ABoundedLineMakesSubmitWait) {
  Gate gate;
  ProcessPoolExecutor pool{{.max_workers = 1, .max_pending = 2}};
  std::vector<Future<int>> futures;
  for (int i = 0; i < 3; ++i) futures.push_back(pool.submit(pass_then_pid, gate.entrance()));
  {
    const DeadlineScope soon{5ms};
    EXPECT_THROW((void)pool.submit(twice, 1), TimeoutError);
  }
  EXPECT_TRUE(futures[2].cancel());
  EXPECT_NO_THROW(futures.push_back(pool.submit(twice, 1))) << "its place is free";
  gate.open();
}

TEST(ProcessExecutorEnds, AnExceptionThatUnwindsCallsOffWhatHasNotBegun) {
  Gate gate;
  std::vector<Future<int>> futures;
  EXPECT_THROW(
      {
        ProcessPoolExecutor pool{1};
        futures.push_back(pool.submit(pass_then_pid, gate.entrance()));
        for (int i = 0; i < 10; ++i) futures.push_back(pool.submit(twice, i));
        EXPECT_TRUE(eventually([&] { return futures[0].running(); }));
        gate.open();
        throw Unlucky{"in the caller"};
      },
      Unlucky);
  EXPECT_NE(futures[0].get(), 0);
  for (std::size_t i = 1; i < futures.size(); ++i) EXPECT_TRUE(futures[i].done());
}

TEST(ProcessExecutorEnds, TerminateEndsWhatRuns) {
  Gate gate;
  ProcessPoolExecutor pool{2};
  Future<int> running = pool.submit(pass_then_pid, gate.entrance());
  EXPECT_TRUE(eventually([&] { return running.running(); }));
  const std::vector<int> pids = pool.pids();
  Future<int> waiting = pool.submit(pass_then_pid, gate.entrance());
  pool.terminate();
  EXPECT_THROW((void)running.get(), CancelledError);
  EXPECT_THROW((void)waiting.get(), CancelledError);
  EXPECT_THROW((void)pool.submit(twice, 1), ShutDown);
  for (int pid : pids) EXPECT_TRUE(is_gone(pid));
}

TEST(ProcessExecutorEnds, ManySubmitFromManyPlacesWhileItShutsDown) {
  for (int round = 0; round < 5; ++round) {
    ProcessPoolExecutor pool{2};
    std::atomic<int> accepted{0};
    std::atomic<long> sum{0};
    Runtime elsewhere{{.workers = 2, .stack_bytes = 1024 * 1024}};
    std::vector<Fiber<void>> submitters;
    for (int s = 0; s < 3; ++s) {
      submitters.push_back(elsewhere.spawn([&] {
        std::vector<Future<int>> futures;
        try {
          for (int i = 0; i < 500; ++i) {
            futures.push_back(pool.submit(twice, 1));
            ++accepted;
            yield();
          }
        } catch (const ShutDown&) {
        }
        for (Future<int>& future : futures) sum += future.get();
      }));
    }
    EXPECT_TRUE(eventually([&] { return accepted > 100; }));
    pool.shutdown();
    join_all(submitters);
    EXPECT_EQ(sum, 2 * accepted);
  }
}

TEST(ProcessExecutorEnds, AForkedChildCannotUseItAndLeavesItAlone) {
  ProcessPoolExecutor pool{1};
  EXPECT_EQ(pool.submit(twice, 1).get(), 2);
  const int child = ::fork();
  if (child == 0) {
    int code = 1;
    try {
      (void)pool.submit(twice, 1);
    } catch (const BrokenExecutor&) {
      code = 0;
    }
    ::_exit(code);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(pool.submit(twice, 2).get(), 4);
}

}  // namespace
}  // namespace weft::test
