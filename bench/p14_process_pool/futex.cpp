// The least that a round trip between two processes takes: a word each way in shared memory, by futex if both sleep, or by
// looking without end. --count, --pause MICROSECONDS (then both sleep), --spin.
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <new>
#include <vector>

#include "common/arguments.hpp"
#include "common/measure.hpp"

namespace {

struct Words {
  alignas(64) std::atomic<std::uint32_t> there{0};
  alignas(64) std::atomic<std::uint32_t> back{0};
};

void wait_for(std::atomic<std::uint32_t>& word, std::uint32_t value, bool spin) {
  for (;;) {
    const std::uint32_t seen = word.load(std::memory_order_acquire);
    if (seen == value) return;
    if (!spin) syscall(SYS_futex, &word, FUTEX_WAIT, seen, nullptr, nullptr, 0);
  }
}

void tell(std::atomic<std::uint32_t>& word, std::uint32_t value, bool spin) {
  word.store(value, std::memory_order_release);
  if (!spin) syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const auto count = static_cast<std::uint32_t>(arguments.number("count", 5000));
  const std::uint64_t pause = arguments.number("pause", 0);
  const bool spin = arguments.has("spin");
  auto& words = *new (mmap(nullptr, sizeof(Words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) Words;
  const int child = fork();
  if (child == 0) {
    for (std::uint32_t i = 1; i <= count; ++i) {
      wait_for(words.there, i, spin);
      tell(words.back, i, spin);
    }
    _exit(0);
  }
  std::vector<double> trips;
  double cpu = 0;
  for (std::uint32_t i = 1; i <= count; ++i) {
    if (pause != 0) usleep(static_cast<useconds_t>(pause));
    const bench::Stopwatch watch;
    tell(words.there, i, spin);
    wait_for(words.back, i, spin);
    trips.push_back(watch.wall_ns());
    cpu += watch.cpu_ns();
  }
  std::printf("ns_per_op=%.2f cpu_ns_per_op=%.2f cold_ns_per_op=%.2f operations=%u\n", bench::median(trips), cpu / count, trips.front(),
              count);
}
