#include "engine/timer_heap.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <thread>
#include <vector>

#include "engine/thread_context.hpp"
#include "support/eventually.hpp"
#include "support/stress.hpp"

namespace weft::detail {
namespace {

using test::Random;
using test::rounds;

/// A wait that has begun and never parks, with a timer.
struct Waiting {
  ThreadContext context{1};
  Timer timer;

  void begin() { (void)arm(context, timer.entry, Interruptible::No); }
  [[nodiscard]] std::uint64_t word() const { return context.waiter.load(std::memory_order_acquire); }
  [[nodiscard]] bool armed() const { return word::state(word()) == word::kArmed; }
  [[nodiscard]] bool timed_out() const {
    return word::state(word()) == word::kSettled && word::outcome(word()) == kTimedOut;
  }
};

void fire_all_due(TimerHeap& heap, std::int64_t now) {
  while (heap.fire_due(now)) {
  }
}

TEST(TimerHeap, FiresWhatIsDueAndNothingElse) {
  TimerHeap heap;
  std::deque<Waiting> waits(5);
  EXPECT_EQ(heap.next_due(), INT64_MAX);
  EXPECT_FALSE(heap.fire_due(INT64_MAX - 1));
  const std::int64_t when[] = {50, 10, 30, 40, 20};
  for (std::size_t i = 0; i < waits.size(); ++i) {
    waits[i].begin();
    heap.add(waits[i].timer, when[i]);
  }
  EXPECT_EQ(heap.next_due(), 10);
  heap.fire_due(9);
  EXPECT_TRUE(waits[1].armed());
  heap.fire_due(30);
  EXPECT_TRUE(waits[1].timed_out() && waits[2].timed_out() && waits[4].timed_out());
  EXPECT_TRUE(waits[0].armed() && waits[3].armed());
  EXPECT_EQ(heap.next_due(), 40);
  heap.fire_due(1000);
  EXPECT_TRUE(waits[0].timed_out() && waits[3].timed_out());
  EXPECT_EQ(heap.next_due(), INT64_MAX);
}

TEST(TimerHeap, RemovedTimersNeverFire) {
  TimerHeap heap;
  Waiting wait;
  Waiting other;
  wait.begin();
  other.begin();
  heap.add(wait.timer, 10);
  heap.add(other.timer, 20);
  TimerHeap::remove(wait.timer);
  EXPECT_EQ(heap.next_due(), 20);
  fire_all_due(heap, 15);
  EXPECT_TRUE(wait.armed());
  fire_all_due(heap, 25);
  EXPECT_TRUE(other.timed_out());
  TimerHeap::remove(other.timer);  // after it has fired: nothing
}

TEST(TimerHeap, TimerThatComesTooLateChangesNothing) {
  TimerHeap heap;
  Waiting wait;
  wait.begin();
  heap.add(wait.timer, 10);
  Entry grant = wait.timer.entry;  // the same wait, as an object sees it
  ASSERT_TRUE(claim(grant, 7));
  deliver(grant);
  fire_all_due(heap, 20);
  EXPECT_EQ(word::outcome(wait.word()), 7);
  // Nor does it end the next wait of the same context.
  heap.add(wait.timer, 30);
  Entry next;
  ASSERT_TRUE(arm(wait.context, next, Interruptible::No));
  fire_all_due(heap, 40);
  EXPECT_TRUE(wait.armed());
}

TEST(TimerHeap, BehavesAsASortedMap) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random{seed};
    TimerHeap heap;
    std::deque<Waiting> waits(400);
    std::multimap<std::int64_t, Waiting*> model;
    std::vector<Waiting*> idle;
    for (Waiting& wait : waits) idle.push_back(&wait);
    std::int64_t now = 0;
    for (int step = 0; step < 4000; ++step) {
      const std::uint32_t what = random.below(10);
      if (what < 5 && !idle.empty()) {
        Waiting& wait = *idle.back();
        idle.pop_back();
        const std::int64_t when = now + 1 + random.below(1000);
        wait.begin();
        heap.add(wait.timer, when);
        model.emplace(when, &wait);
      } else if (what < 8 && !model.empty()) {
        auto chosen = model.begin();
        std::advance(chosen, random.below(static_cast<std::uint32_t>(model.size())));
        TimerHeap::remove(chosen->second->timer);
        ASSERT_TRUE(chosen->second->armed());
        ASSERT_TRUE(disarm(chosen->second->context));
        idle.push_back(chosen->second);
        model.erase(chosen);
      } else {
        now += random.below(200);
        fire_all_due(heap, now);
        while (!model.empty() && model.begin()->first <= now) {
          ASSERT_TRUE(model.begin()->second->timed_out());
          idle.push_back(model.begin()->second);
          model.erase(model.begin());
        }
        for (const auto& [when, wait] : model) ASSERT_TRUE(wait->armed());
      }
      ASSERT_EQ(heap.next_due(), model.empty() ? INT64_MAX : model.begin()->first);
    }
    for (const auto& [when, wait] : model) TimerHeap::remove(wait->timer);
  }
}

// Waits that come and go on several threads, while another fires: each ends once, and after remove() nobody looks at it.
TEST(TimerHeap, RemoveAndFireMayRace) {
  TimerHeap heaps[2];
  std::atomic<bool> over{false};
  std::atomic<int> fired{0};
  std::atomic<int> removed{0};
  std::thread firing{[&] {
    while (!over) {
      for (TimerHeap& heap : heaps) heap.fire_due(Deadline::now_nanoseconds());
    }
  }};
  std::vector<std::thread> waiting;
  std::atomic<int> begun{0};
  const int count = rounds(20'000);
  const Deadline patience = Deadline::after(std::chrono::seconds{30});
  // On a busy machine the firing thread may sleep through all the rounds: then there are more.
  const auto seen_both = [&] { return (fired > 0 && removed > 0) || patience.has_passed(); };
  for (int t = 0; t < 2; ++t) {
    waiting.emplace_back([&, t] {
      Random random{static_cast<std::uint64_t>(t) + 1};
      ThreadContext context{static_cast<std::uint64_t>(t) + 1};
      for (int i = 0; i < count || !seen_both(); ++i) {
        ++begun;
        Timer timer;  // of this round only: a late look at it would be at dead memory
        ASSERT_TRUE(arm(context, timer.entry, Interruptible::No));
        heaps[random.below(2)].add(timer, Deadline::now_nanoseconds() + random.below(3000));
        for (std::uint32_t spin = random.below(2000); spin > 0; --spin) asm volatile("");
        // As parking does: first the wait ends, then the timer goes.
        const bool mine = disarm(context);
        while (word::state(context.waiter.load(std::memory_order_acquire)) != word::kSettled) std::this_thread::yield();
        TimerHeap::remove(timer);
        if (mine) {
          ++removed;
        } else {
          ASSERT_EQ(word::outcome(context.waiter.load()), kTimedOut);
          ++fired;
        }
        timer.entry.context = nullptr;
      }
    });
  }
  for (auto& thread : waiting) thread.join();
  over = true;
  firing.join();
  EXPECT_EQ(fired + removed, begun);
  EXPECT_GT(fired, 0);
  EXPECT_GT(removed, 0);
  for (TimerHeap& heap : heaps) EXPECT_EQ(heap.next_due(), INT64_MAX);
}

}  // namespace
}  // namespace weft::detail
