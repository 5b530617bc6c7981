#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include <weft/detail/byte_queue.hpp>
#include <weft/process/queue.hpp>
#include <weft/process/simple_queue.hpp>
#include <weft/queue/select.hpp>

#include "process/queue/queue_memory.hpp"
#include "process/sync_child.hpp"

// A process that stops for ever in the middle of a put or a get, as one under a debugger does: others wait for it, but not beyond their
// deadlines.
namespace weft::test {
namespace {

using process::detail::ByteQueue;
using process::detail::ItemRoom;
using process::detail::SharedLockWord;
using MayWait = ByteQueue::MayWait;

constexpr std::uint64_t kType = 7;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span{text}); }

/// Holds a lock of the queue until it is killed.
Child holder_of(SharedLockWord& lock) {
  Child holder{[&] {
    lock.lock({});
    for (;;) ::pause();
    return false;
  }};
  EXPECT_TRUE(eventually([&] { return lock.locked(); }));
  return holder;
}

struct OpenQueue : process::Queue<int> {
  process::detail::QueueControl& control() { return bytes("look into").memory().control(); }
};

/// Whether the call came to an end while the holder lived.
bool ends(Child& holder, const std::function<void()>& call) {
  std::atomic<bool> ended{false};
  std::thread caller{[&] {
    call();
    ended = true;
  }};
  const bool in_time = eventually([&] { return ended.load(); });
  holder.kill();
  caller.join();
  return in_time;
}

TEST(ProcessQueueAndAStoppedProcess, AGetEndsAtItsDeadlineThoughThereIsAnItem) {
  ByteQueue queue{0, kType, {}};
  ASSERT_TRUE(queue.put(bytes_of("there"), Deadline::never(), MayWait::Yes));
  Child holder = holder_of(queue.memory().control().gets.lock);
  std::byte room[16];
  ItemRoom item{room};
  EXPECT_TRUE(ends(holder, [&] { EXPECT_FALSE(queue.get(item, Deadline::after(20ms), MayWait::Yes)); }));
  EXPECT_TRUE(queue.get(item, Deadline::after(kPatience), MayWait::Yes));
}

TEST(ProcessQueueAndAStoppedProcess, APutEndsAtItsDeadlineThoughThereIsRoom) {
  for (const std::size_t maxsize : {0, 5}) {
    ByteQueue queue{maxsize, kType, {}};
    Child holder = holder_of(queue.memory().control().puts.lock);
    EXPECT_TRUE(ends(holder, [&] { EXPECT_FALSE(queue.put(bytes_of("late"), Deadline::after(20ms), MayWait::Yes)); }));
    EXPECT_TRUE(queue.put(bytes_of("there"), Deadline::after(kPatience), MayWait::Yes));
    EXPECT_EQ(queue.size(), 1u);
  }
}

TEST(ProcessQueueAndAStoppedProcess, ATryAndASelectEndThoughThereIsAnItem) {
  OpenQueue queue;
  queue.put(1);
  process::Queue<int> other;
  Child holder = holder_of(queue.control().gets.lock);
  EXPECT_TRUE(ends(holder, [&] {
    EXPECT_FALSE(queue.try_get());
    int chosen = 0;
    select(queue.on_get([&](int) { chosen = 1; }), after(20ms, [&] { chosen = 2; }));
    EXPECT_EQ(chosen, 2);
    // Another that is ready is not held up for long.
    other.put(2);
    select(queue.on_get([&](int) { chosen = 1; }), other.on_get([&](int) { chosen = 3; }));
    EXPECT_EQ(chosen, 3);
  }));
  EXPECT_EQ(queue.get(), 1);
}

TEST(ProcessQueueAndAStoppedProcess, APutThatHasSomethingToRepairGoesOnWithoutIt) {
  ByteQueue queue{0, kType, {}};
  queue.memory().control().needs_repair = 1;
  const std::string large(200'000, 'x');
  Child holder = holder_of(queue.memory().control().gets.lock);
  EXPECT_TRUE(ends(holder, [&] { EXPECT_TRUE(queue.put(bytes_of(large), Deadline::after(kPatience), MayWait::Yes)); }));
  EXPECT_EQ(queue.memory().control().needs_repair, 1u) << "the next one may have more luck";
  EXPECT_TRUE(queue.put(bytes_of(large), Deadline::after(kPatience), MayWait::Yes));
  EXPECT_EQ(queue.memory().control().needs_repair, 0u);
}

// It has no bound, so that nobody asks whether it was put.
TEST(ProcessQueueAndAStoppedProcess, APutIntoASimpleQueueIsNotLost) {
  struct Open : process::SimpleQueue<int> {
    process::detail::QueueControl& control() { return bytes("look into").memory().control(); }
  } queue;
  Child holder = holder_of(queue.control().puts.lock);
  std::thread putter{[&] { queue.put(7); }};
  std::this_thread::sleep_for(200ms);
  holder.kill();
  putter.join();
  EXPECT_EQ(queue.get_for(kPatience), 7);
}

}  // namespace
}  // namespace weft::test
