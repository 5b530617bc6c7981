#include "support/linearizable.hpp"

#include <gtest/gtest.h>

#include <deque>

#include <weft/queue/select.hpp>
#include <weft/sync/semaphore.hpp>

#include "queue/kinds.hpp"
#include "support/stress.hpp"

// Short histories of a few contexts: what each call gave must be explained by some order of them.
namespace weft::test {
namespace {

// ---- queues ---------------------------------------------------------------------------------------------------------

struct QueueCall {
  enum class What { Put, Get };
  What what;
  int item;   // put, or got
  bool done;  // false: no room, no item
};

QueueCall put(int item, bool done = true) { return {QueueCall::What::Put, item, done}; }
QueueCall got(std::optional<int> item) { return {QueueCall::What::Get, item.value_or(0), item.has_value()}; }

/// What a queue is when one thing happens after the other.
class QueueModel {
 public:
  QueueModel(std::size_t bound, bool lifo) : bound_{bound}, lifo_{lifo} {}

  bool apply(const QueueCall& call) {
    if (call.what == QueueCall::What::Put) {
      if (!call.done) return items_.size() == bound_;
      if (items_.size() == bound_) return false;
      items_.push_back(call.item);
      return true;
    }
    if (!call.done) return items_.empty();
    if (items_.empty() || next() != call.item) return false;
    lifo_ ? items_.pop_back() : items_.pop_front();
    return true;
  }
  [[nodiscard]] std::string key() const {
    std::string text;
    for (int item : items_) text += std::to_string(item) + ' ';
    return text;
  }

 private:
  [[nodiscard]] int next() const { return lifo_ ? items_.back() : items_.front(); }

  std::deque<int> items_;
  std::size_t bound_;
  bool lifo_;
};

using QueueHistory = History<QueueCall>;

/// Whether a queue can answer so when one context makes these calls, one after the other.
bool can_happen(const QueueModel& queue, const std::vector<QueueCall>& calls) {
  QueueHistory history{1};
  for (const QueueCall& call : calls) history.record(0, [&] { return call; });
  return is_linearizable(queue, history);
}

TEST(LinearizabilityChecker, AcceptsWhatAQueueDoes) {
  const QueueModel fifo{2, false};
  const QueueModel lifo{2, true};
  EXPECT_TRUE(can_happen(fifo, {}));
  EXPECT_TRUE(can_happen(fifo, {got({}), put(1), put(2), put(3, false), got(1), got(2), got({})}));
  EXPECT_TRUE(can_happen(lifo, {put(1), put(2), got(2), put(3), got(3), got(1)}));
}

TEST(LinearizabilityChecker, RefusesWhatNoQueueDoes) {
  const QueueModel fifo{2, false};
  const QueueModel lifo{2, true};
  EXPECT_FALSE(can_happen(fifo, {put(1), put(2), got(2)}));         // in the wrong order
  EXPECT_FALSE(can_happen(lifo, {put(1), put(2), got(1)}));
  EXPECT_FALSE(can_happen(fifo, {put(1), got({})}));                // lost
  EXPECT_FALSE(can_happen(fifo, {put(1), got(1), got(1)}));         // doubled
  EXPECT_FALSE(can_happen(fifo, {put(1), put(2), put(3)}));         // beyond its bound
  EXPECT_FALSE(can_happen(fifo, {put(1), put(2, false)}));          // refused with room
}

TEST(LinearizabilityChecker, LetsCallsThatOverlapComeInEitherOrder) {
  // Two puts at once; the gets that follow see one order, then the other.
  for (const bool swapped : {false, true}) {
    QueueHistory history{2};
    history.record(0, [&] {
      history.record(1, [] { return put(2); });
      return put(1);
    });
    history.record(0, [&] { return got(swapped ? 2 : 1); });
    history.record(1, [&] { return got(swapped ? 1 : 2); });
    EXPECT_TRUE(is_linearizable(QueueModel{2, false}, history));
  }
  // But not calls of which one ended before the other began, though they are of different contexts.
  QueueHistory history{2};
  history.record(0, [] { return put(1); });
  history.record(1, [] { return put(2); });
  history.record(0, [] { return got(2); });
  EXPECT_FALSE(is_linearizable(QueueModel{2, false}, history));
}

class Linearizable : public InEveryWorld {};
WEFT_IN_EVERY_WORLD(Linearizable);

/// Contexts that begin together, each with a few calls; many times over.
template <class Body>
void run_together(World& world, int contexts, Body body) {
  std::atomic<int> ready{0};
  auto runners = world.spawn_many(contexts, [&](int number) {
    ++ready;
    // In parallel where possible: a fiber that shares its worker lets the others come.
    for (int i = 0; ready < contexts && i < 2000; ++i) {
      if (i % 100 == 99) yield();
    }
    body(number);
  });
  join_all(runners);
}

template <class Kind>
void check_queue(World& world, std::size_t bound) {
  constexpr int kContexts = 4;
  for (int round = 0; round < rounds(150); ++round) {
    typename Kind::template Of<int> queue{bound};
    QueueHistory history{kContexts};
    run_together(world, kContexts, [&](int number) {
      Random random{static_cast<std::uint64_t>(round * kContexts + number)};
      for (int i = 0; i < 5; ++i) {
        const int item = number * 100 + i;
        history.record(number, [&]() -> QueueCall {
          std::optional<int> taken;
          switch (random.below(8)) {
            case 0:
            case 1: return put(item, Kind::try_put(queue, item));
            case 2: return put(item, Kind::put_for(queue, item, std::chrono::microseconds{random.below(200)}));
            case 3: return put(item, select(Kind::on_put(queue, item, [] {}), after(50us, [] {})) == 0);
            case 4: return got(queue.get_for(std::chrono::microseconds{random.below(200)}));
            case 5:
              select(queue.on_get([&](int it) { taken = it; }), after(50us, [] {}));
              return got(taken);
            default: return got(queue.try_get());
          }
        });
      }
    });
    ASSERT_TRUE(is_linearizable(QueueModel{bound, std::is_same_v<Kind, Lifo>}, history)) << "round " << round;
  }
}

TEST_P(Linearizable, QueueOfOne) { in_world([](World& world) { check_queue<Fifo>(world, 1); }); }
TEST_P(Linearizable, QueueOfTwo) { in_world([](World& world) { check_queue<Fifo>(world, 2); }); }
TEST_P(Linearizable, LifoQueueOfTwo) { in_world([](World& world) { check_queue<Lifo>(world, 2); }); }

// ---- a semaphore ----------------------------------------------------------------------------------------------------

struct PermitCall {
  int change;  // what became of the count
  bool done;
};

class PermitModel {
 public:
  explicit PermitModel(int permits) : permits_{permits} {}

  bool apply(const PermitCall& call) {
    if (!call.done) return permits_ == 0;
    permits_ += call.change;
    return permits_ >= 0;
  }
  [[nodiscard]] std::string key() const { return std::to_string(permits_); }

 private:
  int permits_;
};

TEST_P(Linearizable, Semaphore) {
  in_world([](World& world) {
    constexpr int kContexts = 3;
    for (int round = 0; round < rounds(150); ++round) {
      weft::Semaphore semaphore{1};
      History<PermitCall> history{kContexts};
      run_together(world, kContexts, [&](int number) {
        Random random{static_cast<std::uint64_t>(round * kContexts + number)};
        for (int i = 0; i < 6; ++i) {
          history.record(number, [&]() -> PermitCall {
            switch (random.below(5)) {
              case 0:
              case 1: semaphore.release(2); return {2, true};
              case 2: return {-1, select(semaphore.on_acquire([] {}), otherwise([] {})) == 0};
              default: return {-1, semaphore.try_acquire_for(std::chrono::microseconds{random.below(100)})};
            }
          });
        }
      });
      ASSERT_TRUE(is_linearizable(PermitModel{1}, history)) << "round " << round;
    }
  });
}

}  // namespace
}  // namespace weft::test
