// Names, numbers, and which threads there are.
#include <weft/thread/current_thread.hpp>

#include <dirent.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <regex>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/detail/context.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/io/blocking.hpp>
#include <weft/sync/event.hpp>

#include "support/eventually.hpp"
#include "support/leaks.hpp"

namespace weft::test {
namespace {

class ThreadList : public LeakFree {};

bool listed(const Thread& thread) {
  const std::vector<Thread> threads = enumerate();
  return std::find(threads.begin(), threads.end(), thread) != threads.end();
}

std::string name_in_proc(const Thread& thread) {
  std::string name;
  std::getline(std::ifstream{"/proc/self/task/" + std::to_string(thread.native_id()) + "/comm"}, name);
  return name;
}

int number_of(const std::string& name) { return std::stoi(name.substr(name.find('-') + 1)); }

TEST_F(ThreadList, UnnamedThreadsAreNumberedAsTheyStart) {
  Thread a{[] {}};
  Thread named{[] {}};
  Thread b{[] {}};
  named.set_name("named").start();
  a.start();
  b.start();
  named.join();
  a.join();
  b.join();
  EXPECT_TRUE(std::regex_match(a.name(), std::regex{"Thread-[0-9]+"})) << a.name();
  EXPECT_EQ(number_of(b.name()), number_of(a.name()) + 1);
  EXPECT_EQ(named.name(), "named");
  Thread never_started{[] {}};
  EXPECT_EQ(number_of(never_started.name()), number_of(b.name()) + 1);
}

TEST_F(ThreadList, NamesAreShownByTheSystemAndMayChange) {
  Event go;
  Event looked;
  std::string inside;
  Thread thread{[&] {
    inside = current_thread().name();
    looked.set();
    go.wait();
  }};
  thread.set_name("before").start();
  looked.wait();
  EXPECT_EQ(name_in_proc(thread), "before");
  thread.set_name("a name of more than fifteen bytes");
  EXPECT_EQ(thread.name(), "a name of more than fifteen bytes");
  EXPECT_EQ(name_in_proc(thread), "a name of more ");
  thread.set_name("fourteen bytesü");  // the character would be cut in two
  EXPECT_EQ(name_in_proc(thread), "fourteen bytes");
  go.set();
  thread.join();
  EXPECT_EQ(inside, "before");
  thread.set_name("after");
  EXPECT_EQ(thread.name(), "after");
}

TEST_F(ThreadList, ThreadsMayNameThemselves) {
  Event go;
  Event named;
  Thread thread{[&] {
    current_thread().set_name("myself");
    named.set();
    go.wait();
  }};
  thread.start();
  named.wait();
  EXPECT_EQ(thread.name(), "myself");
  EXPECT_EQ(name_in_proc(thread), "myself");
  go.set();
  thread.join();
}

TEST_F(ThreadList, NumbersAreThoseOfTheContextAndOfTheKernel) {
  std::uint64_t ident = 0;
  int native = 0;
  Thread thread{[&] {
    ident = get_ident();
    native = get_native_id();
    EXPECT_EQ(ident, detail::current_context_id());
    EXPECT_EQ(native, ::gettid());
    EXPECT_EQ(current_thread().ident(), ident);
    EXPECT_EQ(current_thread().native_id(), native);
  }};
  thread.start();
  thread.join();
  EXPECT_EQ(thread.ident(), ident);
  EXPECT_EQ(thread.native_id(), native);
  EXPECT_NE(ident, get_ident());
}

TEST_F(ThreadList, HoldsWhatHasStartedAndNotEnded) {
  const std::size_t before = active_count();
  EXPECT_EQ(enumerate().size(), before);
  Event go;
  Thread thread{[&] { go.wait(); }};
  EXPECT_FALSE(listed(thread));
  thread.start();
  EXPECT_TRUE(listed(thread));
  EXPECT_EQ(active_count(), before + 1);
  go.set();
  thread.join();
  EXPECT_FALSE(listed(thread));
  EXPECT_EQ(active_count(), before);
}

// test_enumerate_after_join
TEST_F(ThreadList, NeverHoldsOneThatWasJoined) {
  for (int i = 0; i < 100; ++i) {
    Thread thread{[] {}};
    thread.start();
    thread.join();
    ASSERT_FALSE(listed(thread));
  }
}

TEST_F(ThreadList, MainThreadIsTheOneOfMain) {
  const Thread main = main_thread();
  EXPECT_EQ(main.name(), "MainThread");
  EXPECT_TRUE(current_thread() == main);
  EXPECT_EQ(main.native_id(), ::getpid());
  EXPECT_EQ(main.ident(), get_ident());
  EXPECT_TRUE(main.is_alive());
  EXPECT_FALSE(main.daemon());
  EXPECT_TRUE(listed(main));
  Thread thread{[&] {
    EXPECT_TRUE(main_thread() == main);
    EXPECT_FALSE(current_thread() == main);
    EXPECT_FALSE(main_thread().join_for(1ms));
  }};
  thread.start();
  thread.join();
  EXPECT_THROW(main_thread().join(), InvalidStateError);
  EXPECT_THROW(main_thread().kill(), InvalidStateError);
  EXPECT_THROW(main_thread().set_daemon(true), InvalidStateError);
  EXPECT_THROW(main_thread().start(), InvalidStateError);
}

// test_foreign_thread
TEST_F(ThreadList, OthersThreadsAreStoodInFor) {
  const std::size_t before = active_count();
  Thread seen;
  std::thread{[&] {
    EXPECT_EQ(active_count(), before);  // not asked yet
    seen = current_thread();
    EXPECT_EQ(active_count(), before + 1);
    EXPECT_TRUE(listed(seen));
    EXPECT_TRUE(current_thread() == seen);
    EXPECT_TRUE(std::regex_match(seen.name(), std::regex{"Dummy-[0-9]+"})) << seen.name();
    EXPECT_EQ(current_thread().name(), seen.name());
    EXPECT_EQ(seen.ident(), get_ident());
    EXPECT_EQ(seen.native_id(), ::gettid());
    EXPECT_TRUE(seen.is_alive());
    EXPECT_TRUE(seen.daemon());
    EXPECT_THROW(seen.join(), InvalidStateError);
    EXPECT_THROW(seen.kill(), InvalidStateError);
    EXPECT_THROW(seen.start(), InvalidStateError);
    current_thread().set_name("a guest");
    EXPECT_EQ(current_thread().name(), "a guest");
  }}.join();
  EXPECT_FALSE(listed(seen));
  EXPECT_FALSE(seen.is_alive());
  EXPECT_EQ(active_count(), before);
}

TEST_F(ThreadList, AThreadThatIsEndingStillHasAName) {
  struct Late {
    std::string* name = nullptr;
    ~Late() {
      if (name) *name = current_thread().name();
    }
  };
  std::string name;
  std::thread{[&] {
    static thread_local Late late;  // made before the stand-in, so destroyed after it
    late.name = &name;
    (void)current_thread();
  }}.join();
  EXPECT_TRUE(name.starts_with("Dummy-")) << name;
}

TEST_F(ThreadList, FibersAreStoodInForUnderNamesOfTheirOwn) {
  const std::size_t before = active_count();
  for (const unsigned workers : {1U, 2U}) {
    Runtime runtime{{.workers = workers, .name = "test"}};
    runtime.run([&] {
      const Thread mine = current_thread();
      EXPECT_EQ(mine.name(), "DummyThread-" + std::to_string(get_ident()));
      EXPECT_EQ(mine.ident(), get_ident());
      EXPECT_TRUE(mine.is_alive());
      EXPECT_TRUE(mine.daemon());
      EXPECT_THROW(current_thread().join(), InvalidStateError);
      EXPECT_THROW(current_thread().kill(), InvalidStateError);
      EXPECT_FALSE(listed(mine));
      yield();
      EXPECT_TRUE(current_thread() == mine);
      EXPECT_EQ(current_thread().name(), mine.name());
      spawn([&] { EXPECT_FALSE(current_thread() == mine); }).join();
      EXPECT_TRUE(main_thread().name() == "MainThread");
      EXPECT_EQ(active_count(), before);
    });
  }
}

TEST_F(ThreadList, WeftsOwnThreadsAreNotCounted) {
  const std::size_t before = active_count();
  std::string name;
  spawn([&] {
    blocking([&] {
      name = current_thread().name();
      EXPECT_EQ(active_count(), before);
    });
  }).join();
  EXPECT_TRUE(name.starts_with("Dummy-")) << name;
  EXPECT_EQ(active_count(), before);
}

TEST_F(ThreadList, DaemonsPassItOnToThreadsTheyMake) {
  EXPECT_FALSE(Thread{[] {}}.daemon());
  bool inner = false;
  bool set_otherwise = true;
  bool of_a_fiber = true;
  bool of_a_guest = true;
  Thread daemon{[&] {
    inner = Thread{[] {}}.daemon();
    set_otherwise = Thread{[] {}}.set_daemon(false).daemon();
  }};
  daemon.set_daemon(true);
  EXPECT_TRUE(daemon.daemon());
  daemon.start();
  EXPECT_THROW(daemon.set_daemon(false), InvalidStateError);
  EXPECT_TRUE(daemon.daemon());
  daemon.join();
  EXPECT_THROW(daemon.set_daemon(false), InvalidStateError);
  EXPECT_TRUE(inner);
  EXPECT_FALSE(set_otherwise);
  spawn([&] { of_a_fiber = Thread{[] {}}.daemon(); }).join();
  std::thread{[&] { of_a_guest = Thread{[] {}}.daemon(); }}.join();
  EXPECT_FALSE(of_a_fiber);
  EXPECT_FALSE(of_a_guest);
}

TEST_F(ThreadList, ManyLookWhileManyComeAndGo) {
  std::atomic<bool> stop{false};
  Thread looker{[&] {
    while (!stop) {
      for (const Thread& thread : enumerate()) {
        EXPECT_FALSE(thread.name().empty());
        (void)thread.is_alive();
      }
    }
  }};
  looker.start();
  std::vector<Thread> makers;
  for (int i = 0; i < 4; ++i) {
    makers.emplace_back([] {
      for (int k = 0; k < 50; ++k) {
        Thread thread{[] { current_thread().set_name("short-lived"); }};
        thread.start();
        thread.set_name("renamed");
        thread.join();
      }
    });
    makers.back().start();
  }
  for (Thread& maker : makers) maker.join();
  stop = true;
  looker.join();
}

}  // namespace
}  // namespace weft::test
