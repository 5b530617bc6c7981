#include <functional>
#include <map>
#include <mutex>
#include <string>

#include <gtest/gtest.h>

#include <weft/weft.hpp>

#include "support/eventually.hpp"
#include "support/leaks.hpp"

namespace weft::test {
namespace {

class ThreadKill : public LeakFree {};

/// What a thread may wait for; nothing of it ever comes.
struct Waits {
  Lock lock;
  RLock rlock;
  Event event;
  Condition condition;
  Semaphore semaphore{0};
  BoundedSemaphore bounded{1};
  Barrier barrier{2};
  Queue<int> empty;
  Queue<int> full{1};
  Event end;
  Thread thread{[this] { end.wait(); }};
  std::pair<Socket, Socket> peers = Socket::socketpair();
  Socket listener = create_server("127.0.0.1", 0);
  Fiber<void> fiber = spawn([this] { end.wait(); });

  Waits() {
    lock.lock();
    rlock.lock();
    bounded.acquire();
    full.put(1);
    thread.start();
  }
  ~Waits() {
    end.set();
    thread.join();
    fiber.join();
    rlock.unlock();
    lock.unlock();
  }

  std::map<std::string, std::function<void()>> all() {
    return {
        {"Lock::try_lock_for", [this] { (void)lock.try_lock_for(1h); }},
        {"RLock::try_lock_for", [this] { (void)rlock.try_lock_for(1h); }},
        {"Event::wait", [this] { event.wait(); }},
        {"Event::wait_for", [this] { (void)event.wait_for(1h); }},
        {"Condition::wait",
         [this] {
           Lock own;
           std::unique_lock guard{own};
           condition.wait(guard);
         }},
        {"Semaphore::acquire", [this] { semaphore.acquire(); }},
        {"BoundedSemaphore::try_acquire_for", [this] { (void)bounded.try_acquire_for(1h); }},
        {"Barrier::wait",
         [] {
           Barrier alone{2};
           (void)alone.wait();
         }},
        {"Queue::get", [this] { (void)empty.get(); }},
        {"Queue::put", [this] { full.put(2); }},
        {"Queue::join", [this] { full.join(); }},
        {"Thread::join", [this] { thread.join(); }},
        {"Thread::join_for", [this] { (void)thread.join_for(1h); }},
        {"Fiber::join", [this] { fiber.join(); }},
        {"sleep_for", [] { sleep_for(1h); }},
        {"Socket::recv", [this] { (void)peers.first.recv(1); }},
        {"Socket::accept", [this] { (void)listener.accept(); }},
    };
  }
};

TEST_F(ThreadKill, EndsEveryKindOfWait) {
  Waits waits;
  for (const auto& [name, wait] : waits.all()) {
    for (const bool begun : {true, false}) {
      Event beginning;
      bool unwound = false;
      bool returned = false;
      Thread thread{[&] {
        struct Unwound {
          bool& flag;
          ~Unwound() { flag = true; }
        } on_the_stack{unwound};
        beginning.set();
        wait();
        returned = true;
      }};
      thread.start();
      beginning.wait();
      if (begun) sleep_for(2ms);  // probably in its wait; it must not matter
      thread.kill();
      EXPECT_TRUE(thread.join_for(kPatience)) << name;
      EXPECT_TRUE(unwound) << name;
      EXPECT_FALSE(returned) << name;
    }
  }
}

TEST_F(ThreadKill, OneThatHasNotBegunEndsWithoutRunning) {
  bool ran = false;
  Thread thread{[&] { ran = true; }};
  thread.kill();
  thread.start();
  thread.join();
  EXPECT_FALSE(ran);
}

TEST_F(ThreadKill, IsStickyAndSparesLock) {
  Lock lock;
  int times = 0;
  Thread thread{[&] {
    current_thread().kill();
    for (int i = 0; i < 3; ++i) {
      try {
        sleep_for(1h);
      } catch (const Cancelled&) {
        ++times;
      }
    }
    const std::lock_guard guard{lock};
    check_cancelled();
    ++times;
  }};
  thread.start();
  thread.join();
  EXPECT_EQ(times, 3);
  EXPECT_FALSE(lock.locked());
}

TEST_F(ThreadKill, OfOneThatHasEndedConcernsNobody) {
  Thread ended{[] {}};
  ended.start();
  ended.join();
  // Its context is the next one's.
  for (int i = 0; i < 20; ++i) {
    bool slept = false;
    Thread next{[&] {
      ended.kill();
      sleep_for(100us);
      slept = true;
    }};
    next.start();
    next.join();
    EXPECT_TRUE(slept);
  }
}

TEST_F(ThreadKill, RacesWithTheEndHarmlessly) {
  for (int i = 0; i < 200; ++i) {
    Event go;
    struct Blocking {
      ~Blocking() { sleep_for(1us); }  // in clean-up nothing is killed
    };
    auto blocks = std::make_shared<Blocking>();
    Thread thread{[&go, blocks = std::move(blocks)] { (void)go.wait_for(50us); }};
    thread.start();
    Thread next{[] { sleep_for(10us); }};
    thread.kill();
    next.start();
    thread.kill();
    thread.join();
    thread.kill();
    next.join();
  }
}

}  // namespace
}  // namespace weft::test
