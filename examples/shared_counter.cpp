// Teaches: process::Value and process::Array are seen by several processes, and what several change needs their lock.
//
// `counter += 1` reads, then writes. Between the two another process may have written, and what it did is lost. First ten processes
// add one each, with a pause in the middle: nearly all is lost. Then two add one 500,000 times each, without any pause: two processors
// are enough to lose some. With the lock of the Value held around it, or by update(), nothing is. (Each single read and write is sound
// without a lock; what is lost is lost between them.) At last a child fills in what its parent made: there is only one of it.
#include <chrono>
#include <cstdio>
#include <mutex>
#include <vector>

#include <weft/process/array.hpp>
#include <weft/process/process.hpp>
#include <weft/process/value.hpp>
#include <weft/weft.hpp>

using namespace std::chrono_literals;
namespace process = weft::process;

namespace {

/// How far so many processes get that all do this to one counter, and begin together.
long after(int processes, process::Value<long> counter, void (*work)(process::Value<long>&)) {
  process::Value<int> ready{0, process::no_lock};
  std::vector<weft::Process> children;
  for (int i = 0; i < processes; ++i) {
    children.emplace_back(weft::fork, [&] {
      ready.update([](int old) { return old + 1; });
      while (ready != processes) weft::yield();
      work(counter);
    });
    children.back().start();
  }
  for (weft::Process& child : children) child.join();
  return counter;
}

void add_one_slowly(process::Value<long>& counter) {
  const long seen = counter;
  weft::sleep_for(200ms);
  counter = seen + 1;
}

void add_many(process::Value<long>& counter) {
  for (int i = 0; i < 500'000; ++i) counter += 1;
}

void add_with_lock(process::Value<long>& counter) {
  for (int i = 0; i < 20'000; ++i) {
    const std::scoped_lock guard{counter};
    counter += 1;
  }
}

void add_by_update(process::Value<long>& counter) {
  for (int i = 0; i < 20'000; ++i) counter.update([](long old) { return old + 1; });
}

}  // namespace

int main() {
  using Counter = process::Value<long>;
  std::printf("10 processes add one each, with a pause in the middle: %ld\n", after(10, Counter{0}, add_one_slowly));
  std::printf("2 processes add one, 500,000 times each, without a lock: %ld\n", after(2, Counter{0, process::no_lock}, add_many));
  std::printf("2 processes add one, 20,000 times each, the lock held: %ld\n", after(2, Counter{0}, add_with_lock));
  std::printf("2 processes add one, 20,000 times each, by update(): %ld\n", after(2, Counter{0}, add_by_update));

  process::Value<double> number{0.0};
  process::Array<int> squares(10);
  weft::Process child{weft::fork, [&] {
                        number = 3.1415927;
                        for (int i = 0; i < 10; ++i) squares[i] = i * i;
                      }};
  child.start();
  child.join();
  std::printf("from a child: %.7f, [", number.get());
  for (const int square : squares) std::printf(" %d", square);
  std::printf(" ]\n");
}
