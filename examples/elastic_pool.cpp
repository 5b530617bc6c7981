// Teaches: a pool of processes that grows with the work and shrinks without it, and to give all of its workers the same lock or event.
//
// Between one and four processes: another one is started when a task waits and no worker is idle, and one that has been idle for 50 ms
// ends. With .min_workers = 0, which is the default, no process is left while there is nothing to do. The initializer is called first in
// each worker, with handles of a lock and an event that all of them share; the worker keeps them in globals, as it would in Python.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include <unistd.h>

#include <weft/process/event.hpp>
#include <weft/process/lock.hpp>
#include <weft/process/main.hpp>
#include <weft/process/process_pool_executor.hpp>
#include <weft/process/value.hpp>
#include <weft/weft.hpp>

namespace {

using namespace std::chrono_literals;

// In a worker:
std::optional<weft::process::Lock> turn;
std::optional<weft::process::Event> opened;
std::optional<weft::process::Value<long>> visitors;

void prepare(weft::process::Lock its_turn, weft::process::Event its_event, weft::process::Value<long> its_count) {
  turn.emplace(its_turn);
  opened.emplace(its_event);
  visitors.emplace(its_count);
}

int visit() {
  opened->wait();
  const std::scoped_lock guard{*turn};
  *visitors += 1;  // reads, then writes
  return ::getpid();
}

// In this process:
template <class Condition>
void wait_until(Condition condition) {
  while (!condition()) weft::sleep_for(1ms);
}

}  // namespace

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  const weft::process::Lock turn_of_all;
  weft::process::Event door;
  const weft::process::Value<long> count{0, weft::process::no_lock};
  weft::ProcessPoolExecutor pool{
      {.max_workers = 4, .min_workers = 1, .idle_timeout = 50ms, .initializer = {prepare, turn_of_all, door, count}}};

  wait_until([&] { return pool.workers() == 1; });
  std::printf("before there is work: %zu worker\n", pool.workers());

  std::vector<weft::Future<int>> visits;
  for (int i = 0; i < 8; ++i) visits.push_back(pool.submit(visit));
  wait_until([&] { return std::ranges::count_if(visits, [](const auto& visit) { return visit.running(); }) == 4; });
  std::printf("eight tasks that wait for the door: %zu workers\n", pool.workers());

  door.set();
  std::set<int> pids;
  for (weft::Future<int>& visit : visits) pids.insert(visit.get());
  std::printf("%ld visitors, in %zu processes\n", count.get(), pids.size());

  wait_until([&] { return pool.workers() == 1; });
  std::printf("when they have been idle for a while: %zu worker\n", pool.workers());
}
