// What is open here is an argument of processes, by each start method: connections, queues, events, shared memory, sockets.
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <weft/net/connect.hpp>
#include <weft/net/server_socket.hpp>
#include <weft/net/socket.hpp>
#include <weft/process/barrier.hpp>
#include <weft/process/bounded_semaphore.hpp>
#include <weft/process/condition.hpp>
#include <weft/process/connection.hpp>
#include <weft/process/event.hpp>
#include <weft/process/joinable_queue.hpp>
#include <weft/process/lock.hpp>
#include <weft/process/queue.hpp>
#include <weft/process/rlock.hpp>
#include <weft/process/semaphore.hpp>
#include <weft/process/simple_queue.hpp>
#include <weft/process/value.hpp>
#include <weft/process/shared_memory.hpp>

#include "process/children.hpp"

namespace weft::test {
namespace {

class ProcessArguments : public EachStartMethod {
 protected:
  /// Whether it ended well, in time.
  static bool ended(Process& child) {
    const bool in_time = child.join_for(kPatience);
    if (!in_time) child.kill();
    child.join();
    return in_time && child.exitcode() == 0;
  }
};
INSTANTIATE_TEST_SUITE_P(Methods, ProcessArguments, kAllMethods, name_of_method);

Deadline soon() { return Deadline::after(kPatience); }

// ---- what waits -------------------------------------------------------------------------------------------------------

std::atomic<int> actions{0};
void act() { ++actions; }

void use_all(process::RLock mutex, process::Semaphore permits, process::BoundedSemaphore slots, process::Lock turn, process::Condition changed,
             process::Value<int> stage, process::Barrier meeting, process::SimpleQueue<int> numbers, process::JoinableQueue<int> work) {
  {
    const std::scoped_lock once{mutex};
    const std::scoped_lock twice{mutex};
    permits.release();
  }
  slots.acquire();
  {
    std::unique_lock guard{turn};
    changed.wait(guard, [&] { return stage.get() == 1; });
    stage.set(2);
    changed.notify_all();
  }
  meeting.wait();
  numbers.put(numbers.get() + 1);
  (void)work.get();
  work.task_done();
}

TEST_P(ProcessArguments, EverythingThatWaitsIsTheSameThere) {
  process::RLock mutex{"mutex"};
  process::Semaphore permits{0};
  process::BoundedSemaphore slots{1};
  process::Lock turn;
  process::Condition changed;
  process::Value<int> stage{0};
  process::Barrier meeting{2, act};
  process::SimpleQueue<int> numbers;
  process::JoinableQueue<int> work;
  Process child = make(use_all, mutex, permits, slots, turn, changed, stage, meeting, numbers, work);
  {
    std::unique_lock held{mutex};
    child.start();
    EXPECT_FALSE(permits.try_acquire_for(20ms)) << "it has the lock that is held here";
  }
  EXPECT_TRUE(permits.try_acquire_for(kPatience));
  EXPECT_TRUE(eventually([&] { return slots.value() == 0; }));
  slots.release();
  EXPECT_THROW(slots.release(), std::exception);
  {
    std::unique_lock guard{turn};
    stage.set(1);
    changed.notify_all();
    EXPECT_TRUE(changed.wait_until(guard, soon()) || stage.get() == 2);
  }
  const int before = actions;
  const auto place = meeting.wait();
  numbers.put(41);
  work.put(1);
  work.join();
  EXPECT_TRUE(ended(child));
  EXPECT_EQ(numbers.get(), 42);
  EXPECT_LE(actions - before, 1) << "it is called by one of the two, at place " << place;
  EXPECT_EQ(stage.get(), 2);
}

// ---- connections ------------------------------------------------------------------------------------------------------

void answer(process::Connection peer) {
  for (;;) {
    const auto question = peer.recv<std::string>(soon());
    if (question.empty()) return;
    peer.send(question + question);
  }
}

TEST_P(ProcessArguments, AConnectionTalksBothWays) {
  auto [here, there] = process::pipe();
  Process child = make(answer, std::move(there));
  child.start();
  for (const std::string text : {"a", "bc"}) {
    here.send(text);
    EXPECT_EQ(here.recv<std::string>(soon()), text + text);
  }
  here.send(std::string(300'000, 'x'));  // more than its buffers hold
  EXPECT_EQ(here.recv<std::string>(soon()).size(), 600'000U);
  here.send(std::string{});
  EXPECT_TRUE(ended(child));
  EXPECT_THROW((void)here.recv<std::string>(soon()), EndOfStream) << "the child had the other end alone";
}

TEST_P(ProcessArguments, AConnectionIsLeftOpenHereWhenACopyIsSent) {
  auto [here, there] = process::pipe();
  Process child = make([](process::Connection end) { end.send(1); }, there);
  child.start();
  EXPECT_EQ(here.recv<int>(soon()), 1);
  EXPECT_TRUE(ended(child));
  there.send(2);
  EXPECT_EQ(here.recv<int>(soon()), 2);
}

void send_numbers(process::Connection to, process::Lock turn, int first) {
  for (int i = 0; i < 100; ++i) {
    const std::scoped_lock guard{turn};
    to.send(first + i);
  }
}

TEST_P(ProcessArguments, OneWayStaysOneWayAndSeveralMayHaveAnEnd) {
  auto [receiving, sending] = process::pipe(false);
  const process::Lock turn;
  std::vector<Process> children;
  for (int i = 0; i < 3; ++i) {
    children.push_back(make(send_numbers, sending, turn, 100 * i));
    children.back().start();
  }
  sending.close();
  std::vector<int> seen(300);
  for (int i = 0; i < 300; ++i) ++seen.at(static_cast<std::size_t>(receiving.recv<int>(soon())));
  EXPECT_EQ(seen, std::vector<int>(300, 1));
  for (Process& child : children) EXPECT_TRUE(ended(child));
  EXPECT_THROW((void)receiving.recv<int>(soon()), EndOfStream);
  Process refused = make(
      [](process::Connection only_receives) {
        try {
          only_receives.send(1);
        } catch (const InvalidStateError&) {
          ::_exit(7);
        }
      },
      std::move(receiving));
  refused.start();
  EXPECT_TRUE(refused.join_for(kPatience));
  EXPECT_EQ(refused.exitcode(), 7);
}

TEST_P(ProcessArguments, ConnectionsMayBeParts) {
  std::vector<process::Connection> here;
  std::vector<std::pair<std::string, process::Connection>> there;
  for (int i = 0; i < 3; ++i) {
    auto [mine, yours] = process::pipe();
    here.push_back(std::move(mine));
    there.emplace_back("peer " + std::to_string(i), std::move(yours));
  }
  Process child = make(
      [](std::vector<std::pair<std::string, process::Connection>> peers) {
        for (auto& [name, peer] : peers) peer.send(name);
      },
      std::move(there));
  child.start();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(here[static_cast<std::size_t>(i)].recv<std::string>(soon()), "peer " + std::to_string(i));
  EXPECT_TRUE(ended(child));
}

TEST(ProcessArgument, AClosureByForkIsGivenAConnectionAlike) {
  auto [here, there] = process::pipe();
  int number = 1;
  Process child{weft::fork, [&number](process::Connection end) { end.send(number); }, there};
  number = 2;  // what fork copies it copies as it starts
  child.start();
  EXPECT_EQ(here.recv<int>(soon()), 2);
  child.join();
  EXPECT_FALSE(there.closed());
}

// ---- queues -----------------------------------------------------------------------------------------------------------

void square_all(process::Queue<int> from, process::Queue<std::pair<int, long>> to) {
  while (const std::optional<int> number = from.get_for(kPatience)) to.put({*number, long{*number} * *number});
}

TEST_P(ProcessArguments, QueuesGoThereAndBack) {
  process::Queue<int> numbers{16};
  process::Queue<std::pair<int, long>> squares;
  std::vector<Process> children;
  for (int i = 0; i < 2; ++i) {
    children.push_back(make(square_all, numbers, squares));
    children.back().start();
  }
  for (int i = 0; i < 500; ++i) numbers.put(i);
  numbers.shutdown();
  for (Process& child : children) EXPECT_TRUE(ended(child));
  std::vector<long> seen(500, -1);
  while (const auto square = squares.try_get()) seen.at(static_cast<std::size_t>(square->first)) = square->second;
  for (long i = 0; i < 500; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i * i);
}

// ---- events and memory -------------------------------------------------------------------------------------------------

void write_when_told(process::Event told, process::SharedMemory memory, process::Event written) {
  if (!told.wait_for(kPatience)) ::_exit(1);
  memory.buffer()[4'000] = std::byte{9};
  written.set();
}

TEST_P(ProcessArguments, EventsTellOfWhatIsInSharedMemory) {
  process::Event told;
  process::Event written;
  const process::SharedMemory memory{5'000};
  Process child = make(write_when_told, told, memory, written);
  child.start();
  EXPECT_FALSE(written.is_set());
  told.set();
  EXPECT_TRUE(written.wait_for(kPatience));
  EXPECT_EQ(memory.buffer()[4'000], std::byte{9});
  EXPECT_TRUE(ended(child));
}

TEST_P(ProcessArguments, NamedMemoryIsTheSameAndStaysTheCreators) {
  const std::string name = "weft-test-" + std::to_string(::getpid()) + "-argument";
  {
    const process::SharedMemory memory = process::SharedMemory::create(name, 100);
    Process child = make([](process::SharedMemory there) { there.buffer()[7] = std::byte{7}; }, memory);
    child.start();
    EXPECT_TRUE(ended(child));
    EXPECT_EQ(memory.buffer()[7], std::byte{7});
    EXPECT_EQ(::access(("/dev/shm/" + name).c_str(), F_OK), 0) << "the child that has ended was not its creator";
  }
  process::SharedMemory::attach(name).unlink();
}

// ---- sockets ----------------------------------------------------------------------------------------------------------

void serve(Socket listener, int times) {
  for (int i = 0; i < times; ++i) {
    Socket peer = listener.accept(soon());
    peer.send_all("hello from " + std::to_string(::getpid()) + '\n');
  }
}
std::string line_from(Socket& peer) {
  std::string text;
  while (text.empty() || text.back() != '\n') {
    const std::string more = peer.recv(100, soon());
    if (more.empty()) return text + " (end)";
    text += more;
  }
  return text;
}

TEST_P(ProcessArguments, AListeningSocketIsAcceptedFromThere) {
  Socket listener = create_server("127.0.0.1", 0);
  const auto port = listener.local_address().port();
  Process child = make(serve, listener, 2);
  child.start();
  for (int i = 0; i < 2; ++i) {
    Socket client = create_connection("127.0.0.1", port);
    EXPECT_EQ(line_from(client), "hello from " + std::to_string(child.pid()) + '\n');
  }
  EXPECT_TRUE(ended(child));
  // It is still ours, too.
  Socket client = create_connection("127.0.0.1", port);
  Socket peer = listener.accept(soon());
  peer.send_all("here\n");
  EXPECT_EQ(line_from(client), "here\n");
}

TEST_P(ProcessArguments, AConnectedSocketIsGoneHereWhenItIsMovedThere) {
  auto [here, there] = Socket::socketpair();
  Process child = make([](Socket peer) { peer.send_all("hello\n"); }, std::move(there));
  child.start();
  EXPECT_EQ(line_from(here), "hello\n");
  EXPECT_TRUE(ended(child));
  EXPECT_EQ(line_from(here), " (end)");
}

}  // namespace
}  // namespace weft::test
