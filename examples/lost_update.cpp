// Teaches: why what several threads change needs a lock.
//
// "Take one from what is left" is to read, to subtract and to write. Between its reading and its writing others may
// have written, and what they did is lost. First 100 threads take one each from 100: with a pause in the middle nearly
// all is lost, with a tiny one some of it, with a Lock nothing. Then two threads add and subtract one, ten million
// times each, without any pause: the processor alone is enough to lose updates, now and then.
// (The variables are atomic so that each single read and write is sound; what is lost is lost between them.)
#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <vector>

#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

constexpr int kThreads = 100;
constexpr long kTimes = 10'000'000;

std::atomic<long> number{0};
weft::Lock lock{"number"};

void take_one(std::chrono::microseconds pause) {
  const long seen = number.load(std::memory_order_relaxed);
  weft::sleep_for(pause);
  number.store(seen - 1, std::memory_order_relaxed);
}

void take_one_locked(std::chrono::microseconds pause) {
  const std::scoped_lock guard{lock};
  take_one(pause);
}

long left_of_100(void (*take)(std::chrono::microseconds), std::chrono::microseconds pause) {
  number = kThreads;
  weft::Event go{"go"};
  std::vector<weft::Thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.push_back(weft::Thread{[&] {
      go.wait();  // all at once
      take(pause);
    }}.start());
  }
  go.set();
  for (weft::Thread& thread : threads) thread.join();
  return number;
}

void add(long step) { number.store(number.load(std::memory_order_relaxed) + step, std::memory_order_relaxed); }

void add_many(long step) {
  for (long i = 0; i < kTimes; ++i) add(step);
}

void add_many_locked(long step) {
  for (long i = 0; i < kTimes; ++i) {
    const std::scoped_lock guard{lock};
    add(step);
  }
}

long after_adding_and_subtracting(void (*add_all)(long)) {
  number = 0;
  weft::Event go{"go"};
  const auto work = [&](long step) {
    go.wait();
    add_all(step);
  };
  weft::Thread up{work, 1L};
  weft::Thread down{work, -1L};
  up.start();
  down.start();
  go.set();
  up.join();
  down.join();
  return number;
}

}  // namespace

int main() {
  std::printf("100 threads take one each from 100\n");
  std::printf("  with a pause of 100 ms:   %ld left\n", left_of_100(take_one, 100ms));
  std::printf("  with a pause of 1 us:     %ld left\n", left_of_100(take_one, 1us));
  std::printf("  with that, and a lock:    %ld left\n", left_of_100(take_one_locked, 1us));

  std::printf("two threads add and subtract one, 10,000,000 times each\n");
  std::printf("  without a lock:           %ld\n", after_adding_and_subtracting(add_many));
  std::printf("  with a lock:              %ld\n", after_adding_and_subtracting(add_many_locked));
}
