// What all programs of p16 do: numbers from so many producer processes to so many consumer processes. Arguments:
// --count (of all), --producers, --consumers, --repeat.
#pragma once

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "common/arguments.hpp"
#include "common/measure.hpp"

namespace bench {

inline constexpr std::uint64_t kEnd = ~std::uint64_t{0};

[[noreturn]] inline void fail(const char* what) {
  std::perror(what);
  std::_Exit(1);
}

/// CPU time of all children that have ended.
inline double children_cpu_ns() {
  rusage used{};
  ::getrusage(RUSAGE_CHILDREN, &used);
  const auto ns = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
  };
  return ns(used.ru_utime) + ns(used.ru_stime);
}

template <class Body>
pid_t in_child(Body body) {
  const pid_t pid = ::fork();
  if (pid < 0) fail("fork");
  if (pid != 0) return pid;
  body();
  std::_Exit(0);
}

inline void join(const std::vector<pid_t>& children) {
  for (const pid_t child : children) {
    int status = 0;
    if (::waitpid(child, &status, 0) != child || status != 0) fail("a child failed");
  }
}

/// `put(number)` and `get()`, which are called in the children, wait as the queue does. Prints one line, as
/// bench::measure().
template <class Put, class Get>
void measure_crowd(const Arguments& arguments, Put put, Get get) {
  const std::uint64_t count = arguments.number("count", 300'000);
  const std::uint64_t producers = arguments.number("producers", 1),
                      consumers = arguments.number("consumers", 1);
  auto* const sum = static_cast<std::atomic<std::uint64_t>*>(
      ::mmap(nullptr, sizeof(std::atomic<std::uint64_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
             -1, 0));
  const auto run = [&] {
    sum->store(0);
    std::vector<pid_t> sending, taking;
    for (std::uint64_t c = 0; c < consumers; ++c) {
      taking.push_back(in_child([&] {
        std::uint64_t mine = 0;
        for (std::uint64_t number = get(); number != kEnd; number = get()) mine += number;
        sum->fetch_add(mine);
      }));
    }
    for (std::uint64_t p = 0; p < producers; ++p) {
      sending.push_back(in_child([&, p] {
        for (std::uint64_t number = p; number < count; number += producers) put(number);
      }));
    }
    join(sending);
    for (std::uint64_t c = 0; c < consumers; ++c) put(kEnd);
    join(taking);
    if (sum->load() != count * (count - 1) / 2) fail("wrong sum");
  };
  std::vector<double> wall, cpu;
  const std::uint64_t repeat = std::max<std::uint64_t>(1, arguments.number("repeat", 3));
  for (std::uint64_t i = 0; i <= repeat; ++i) {
    const double cpu_before = children_cpu_ns();
    const Stopwatch watch;
    run();
    wall.push_back(watch.wall_ns() / static_cast<double>(count));
    cpu.push_back((children_cpu_ns() - cpu_before) / static_cast<double>(count));
  }
  const double cold = wall.front();
  wall.erase(wall.begin());
  cpu.erase(cpu.begin());
  std::printf("ns_per_op=%.2f cpu_ns_per_op=%.2f cold_ns_per_op=%.2f operations=%llu\n", median(wall),
              median(cpu), cold, static_cast<unsigned long long>(count));
  std::fflush(stdout);
}

}  // namespace bench
