// What an initializer of a pool is given reaches every worker, the first ones and their successors, by each start method: locks, queues,
// connections, sockets.
#include <algorithm>
#include <csignal>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/net/connect.hpp>
#include <weft/net/server_socket.hpp>
#include <weft/net/socket.hpp>
#include <weft/process/connection.hpp>
#include <weft/process/event.hpp>
#include <weft/process/lock.hpp>
#include <weft/process/pool.hpp>
#include <weft/process/process_pool_executor.hpp>
#include <weft/process/queue.hpp>
#include <weft/process/value.hpp>

#include "process/children.hpp"
#include "process/process_kinds.hpp"

namespace weft::test {
namespace {

class PoolInitializer : public EachStartMethod {};
INSTANTIATE_TEST_SUITE_P(Methods, PoolInitializer, kAllMethods, name_of_method);

// As in Python, a worker keeps in globals what its initializer was given.
std::optional<process::Lock> gate;
std::optional<process::Value<long>> counter;
std::optional<process::Queue<int>> done_by;
std::optional<process::Connection> line;
std::optional<Socket> door;

void keep_counter(process::Lock its_gate, process::Value<long> its_counter) {
  gate.emplace(its_gate);
  counter.emplace(its_counter);
}
int count_up(int times) {
  for (int i = 0; i < times; ++i) {
    const std::scoped_lock guard{*gate};
    *counter += 1;
  }
  return ::getpid();
}

TEST_P(PoolInitializer, GivesAllWorkersTheSameLock) {
  const process::Lock its_gate;
  const process::Value<long> its_counter{0, process::no_lock};
  ProcessPoolExecutor pool{{.max_workers = 3, .start_method = GetParam(), .initializer = {keep_counter, its_gate, its_counter}}};
  std::vector<Future<int>> futures;
  for (int i = 0; i < 12; ++i) futures.push_back(pool.submit(count_up, 2'000));
  for (Future<int>& future : futures) future.wait();
  EXPECT_EQ(its_counter.get(), 24'000);
}

void keep_queue(process::Queue<int> queue) { done_by.emplace(queue); }
void tell_queue() { done_by->put(::getpid()); }

TEST_P(PoolInitializer, GivesThoseThatReplaceOthersTheSameQueue) {
  process::Queue<int> queue;
  process::Pool pool{{.processes = 2, .initializer = {keep_queue, queue}, .max_tasks_per_child = 2, .start_method = GetParam()}};
  std::set<int> pids;
  const auto work = [&] {
    for (int i = 0; i < 6; ++i) pool.apply(tell_queue);
    for (int i = 0; i < 6; ++i) pids.insert(queue.get_for(kPatience).value_or(0));
    EXPECT_EQ(pids.count(0), 0U);
  };
  work();
  EXPECT_GE(pids.size(), 3U) << "two tasks each";
  EXPECT_TRUE(eventually([&] { return pool.workers() == 2; }));
  const std::vector<int> killed = pool.pids();
  for (int pid : killed) ::kill(pid, SIGKILL);
  EXPECT_TRUE(eventually([&] {
    const std::vector<int> now = pool.pids();
    return now.size() == 2 && std::find_first_of(now.begin(), now.end(), killed.begin(), killed.end()) == now.end();
  }));
  work();
}

void keep_line(process::Connection end, process::Lock its_gate) {
  line.emplace(std::move(end));
  gate.emplace(its_gate);
}
int tell_line(int number) {
  const std::scoped_lock guard{*gate};
  line->send(number);
  return number;
}

TEST_P(PoolInitializer, GivesAConnectionWhichEndsWithThePool) {
  auto [here, there] = process::pipe(false);
  std::optional<Future<int>> kept;
  {
    ProcessPoolExecutor pool{
        {.max_workers = 2, .start_method = GetParam(), .initializer = {keep_line, there, process::Lock{}}, .max_tasks_per_child = 3}};
    there.close();
    std::vector<Future<int>> futures;
    for (int i = 0; i < 10; ++i) futures.push_back(pool.submit(tell_line, i));
    std::set<int> numbers;
    for (int i = 0; i < 10; ++i) numbers.insert(here.recv<int>(Deadline::after(kPatience)));
    EXPECT_EQ(numbers.size(), 10U);
    kept.emplace(std::move(futures.back()));
  }
  EXPECT_THROW((void)here.recv<int>(Deadline::after(kPatience)), EndOfStream);
  EXPECT_EQ(kept->get(), 9) << "which keeps what is left of the pool";
}

void keep_door(Socket listener) { door.emplace(std::move(listener)); }
int serve_one() {
  door->accept(Deadline::after(kPatience)).send_all(std::to_string(::getpid()) + '\n');
  return ::getpid();
}

TEST_P(PoolInitializer, GivesASocketThatAllWorkersAcceptFrom) {
  const Socket listener = create_server("127.0.0.1", 0);
  process::Pool pool{{.processes = 2, .initializer = {keep_door, listener}, .start_method = GetParam()}};
  std::vector<Future<int>> futures;
  for (int i = 0; i < 4; ++i) futures.push_back(pool.apply_async(serve_one));
  std::multiset<int> served_by;
  for (int i = 0; i < 4; ++i) {
    Socket client = create_connection("127.0.0.1", listener.local_address().port());
    std::string text;
    while (text.empty() || text.back() != '\n') {
      const std::string more = client.recv(100, Deadline::after(kPatience));
      ASSERT_FALSE(more.empty());
      text += more;
    }
    served_by.insert(std::stoi(text));
  }
  std::multiset<int> pids;
  for (Future<int>& future : futures) pids.insert(future.get());
  EXPECT_EQ(served_by, pids);
}

TEST_P(PoolInitializer, IsCalledBeforeThereIsAnyTask) {
  process::Event begun;
  process::Pool pool{{.processes = 1, .initializer = {[](process::Event event) { event.set(); }, begun}, .start_method = GetParam()}};
  EXPECT_TRUE(begun.wait_for(kPatience));
}

TEST_P(PoolInitializer, MayBeTheSameOfSeveralPools) {
  const process::Lock its_gate;
  const process::Value<long> its_counter{0, process::no_lock};
  const SentCall initializer{keep_counter, its_gate, its_counter};
  for (int i = 0; i < 2; ++i) {
    ProcessPoolExecutor first{{.max_workers = 1, .start_method = GetParam(), .initializer = initializer}};
    process::Pool second{{.processes = 1, .initializer = initializer, .start_method = GetParam()}};
    Future<int> one = first.submit(count_up, 500);
    Future<int> other = second.apply_async(count_up, 500);
    EXPECT_NE(one.get(), other.get());
  }
  EXPECT_EQ(its_counter.get(), 2'000);
}

void refuse(process::Lock) { throw Unlucky{"no room"}; }

TEST_P(PoolInitializer, ThatThrowsLeavesNothingOpen) {
  process::Lock its_gate;
  ProcessPoolExecutor pool{{.max_workers = 1, .start_method = GetParam(), .initializer = {refuse, its_gate}}};
  EXPECT_THROW((void)pool.submit(count_up, 1).get(), BrokenExecutor);
}  // the suite ends with the descriptors it began with

}  // namespace
}  // namespace weft::test
