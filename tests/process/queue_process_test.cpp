#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/process/joinable_queue.hpp>
#include <weft/process/queue.hpp>
#include <weft/process/simple_queue.hpp>

#include "process/sync_child.hpp"
#include "support/stress.hpp"
#include "support/world.hpp"

// Queues between processes: what they do while everybody lives. Deaths are in queue_death_test.cpp.
namespace weft::test {
namespace {

using process::Incoming;
using process::JoinableQueue;
using process::Outgoing;
using process::SimpleQueue;
template <class T>
using ProcessQueue = process::Queue<T>;

/// As if sent to another process, which maps it anew.
template <class Q>
Q received(const Q& queue) {
  Outgoing out;
  out(queue);
  Incoming in{out.bytes(), out.take_descriptors()};
  return in.receive<Q>();
}

struct Numbered {
  int producer = 0;
  int number = 0;
  std::string text;
};

TEST(ProcessQueue, GoesBetweenProcessesInOrder) {
  ProcessQueue<std::string> there, back;
  Child child{[&] {
    for (;;) {
      const std::string word = there.get();
      if (word.empty()) return true;
      back.put(word + '!');
    }
  }};
  for (int i = 0; i < 1000; ++i) {
    there.put(std::to_string(i));
    ASSERT_EQ(back.get_for(kPatience), std::to_string(i) + '!');
  }
  there.put("");
  EXPECT_EQ(child.join(), 0);
}

TEST(ProcessQueue, AProducerCanBeJoinedBeforeAnybodyGets) {
  constexpr int kItems = 1000;
  constexpr std::size_t kEach = 100'000;
  ProcessQueue<std::vector<int>> queue;
  Child producer{[&] {
    std::vector<int> item(kEach / sizeof(int));
    for (int i = 0; i < kItems; ++i) {
      item.front() = item.back() = i;
      queue.put(item);
    }
    return true;
  }};
  EXPECT_EQ(producer.join(), 0);
  EXPECT_EQ(queue.qsize(), static_cast<std::size_t>(kItems));
  for (int i = 0; i < kItems; ++i) {
    const auto item = queue.try_get();
    ASSERT_TRUE(item);
    ASSERT_EQ(item->size(), kEach / sizeof(int));
    ASSERT_EQ(item->front(), i);
    ASSERT_EQ(item->back(), i);
  }
  EXPECT_FALSE(queue.try_get());
}

class ManyProcesses : public testing::TestWithParam<std::size_t> {};

// In each child a thread and fibers, some of which give up now and then.
TEST_P(ManyProcesses, ConserveItemsAndTheOrderOfEachProducer) {
  constexpr int kProducers = 2, kConsumers = 2, kInEach = 2;
  const int items = rounds(2000);
  ProcessQueue<Numbered> queue{GetParam()};
  ProcessQueue<std::vector<std::pair<int, int>>> results;
  std::vector<Child> producers, consumers;
  for (int p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      World world{kMixed};
      auto runners = world.spawn_many(kInEach, [&](int in) {
        for (int i = 0; i < items; ++i) {
          const Numbered item{p * kInEach + in, i, std::string(static_cast<std::size_t>(i % 50), 'x')};
          while (i % 5 == 0 && !queue.put_for(item, 100us)) {
          }
          if (i % 5 != 0) queue.put(item);
        }
      });
      join_all(runners);
      return true;
    });
  }
  for (int c = 0; c < kConsumers; ++c) {
    consumers.emplace_back([&] {
      World world{kMixed};
      auto runners = world.spawn_many(kInEach, [&](int in) {
        std::vector<std::pair<int, int>> taken;
        for (;;) {
          if (auto item = queue.get_for(in == 0 ? Duration{100us} : Duration{1h})) {
            taken.emplace_back(item->producer, item->number);
          } else if (queue.is_shut_down()) {
            break;
          }
        }
        results.put(taken);
      });
      join_all(runners);
      return true;
    });
  }
  for (Child& child : producers) EXPECT_EQ(child.join(), 0);
  queue.shutdown();
  for (Child& child : consumers) EXPECT_EQ(child.join(), 0);
  std::vector<std::pair<int, int>> all;
  while (auto taken = results.try_get()) {
    std::vector<int> last(kProducers * kInEach, -1);
    for (auto [producer, number] : *taken) {
      EXPECT_GT(number, last[producer]);
      last[producer] = number;
    }
    all.insert(all.end(), taken->begin(), taken->end());
  }
  EXPECT_EQ(all.size(), static_cast<std::size_t>(kProducers * kInEach * items));
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
}

INSTANTIATE_TEST_SUITE_P(Bounds, ManyProcesses, testing::Values(0, 1, 20), [](const auto& bound) {
  return bound.param == 0 ? std::string{"Unbounded"} : "Bound" + std::to_string(bound.param);
});

TEST(ProcessQueue, APutWaitsForAGetOfAnotherProcess) {
  ProcessQueue<int> queue{20};
  for (int i = 0; i < 20; ++i) queue.put(i);
  EXPECT_TRUE(queue.full());
  ProcessQueue<int> started;
  Child child{[&] {
    started.put(1);
    queue.put(20);
    started.put(2);
    return true;
  }};
  ASSERT_EQ(started.get_for(kPatience), 1);
  EXPECT_FALSE(started.get_for(20ms));
  EXPECT_EQ(queue.get(), 0);
  EXPECT_EQ(started.get_for(kPatience), 2);
  EXPECT_EQ(child.join(), 0);
  for (int i = 1; i <= 20; ++i) EXPECT_EQ(queue.get(), i);
}

TEST(ProcessQueue, ShutdownEndsWaitsInOtherProcesses) {
  for (const bool immediate : {false, true}) {
    ProcessQueue<int> empty, full{1}, ready;
    full.put(0);
    std::vector<Child> children;
    children.emplace_back([&] {
      ready.put(0);
      try {
        (void)empty.get();
        return false;
      } catch (const ShutDown&) {
        return true;
      }
    });
    children.emplace_back([&] {
      ready.put(0);
      try {
        full.put(1);
        return false;
      } catch (const ShutDown&) {
        return true;
      }
    });
    children.emplace_back([&] {
      ready.put(0);
      return !empty.get_for(1h) && empty.is_shut_down();
    });
    for (std::size_t i = 0; i < children.size(); ++i) ASSERT_TRUE(ready.get_for(kPatience));
    empty.shutdown(immediate);
    full.shutdown(immediate);
    for (Child& child : children) EXPECT_EQ(child.join(), 0);
    EXPECT_EQ(full.qsize(), immediate ? 0u : 1u);
  }
}

TEST(ProcessQueue, AnImmediateShutdownGivesTheMemoryBackAtOnce) {
  ProcessQueue<std::string> queue;
  for (int i = 0; i < 20; ++i) queue.put(std::string(1'000'000, 'x'));
  ProcessQueue<std::string> other = received(queue);
  queue.shutdown(true);
  EXPECT_FALSE(other.try_get());
  EXPECT_TRUE(other.is_shut_down());
  EXPECT_THROW(other.put("x"), ShutDown);
}

TEST(JoinableProcessQueue, JoinWaitsForDaemonWorkersToHaveDoneEverything) {
  JoinableQueue<int> tasks;
  InSharedMemory<std::atomic<int>> sum;
  std::vector<Child> workers;  // as daemons: killed when nobody needs them any more
  for (int i = 0; i < 3; ++i) {
    workers.emplace_back([&] {
      for (;;) {
        *sum += tasks.get();
        tasks.task_done();
      }
      return false;
    });
  }
  for (int round = 1; round <= 3; ++round) {
    for (int i = 1; i <= 100; ++i) tasks.put(i);
    ASSERT_TRUE(tasks.join_for(kPatience));
    EXPECT_EQ(*sum, round * 5050);
  }
  EXPECT_THROW(tasks.task_done(), InvalidStateError);
}

TEST(JoinableProcessQueue, JoinersOfSeveralProcessesAreWokenByTheLastTaskDone) {
  JoinableQueue<int> tasks;
  ProcessQueue<int> ready;
  tasks.put(1);
  tasks.put(2);
  std::vector<Child> joiners;
  for (int i = 0; i < 3; ++i) {
    joiners.emplace_back([&] {
      ready.put(0);
      tasks.join();
      return true;
    });
  }
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(ready.get_for(kPatience));
  tasks.task_done();
  EXPECT_FALSE(tasks.join_for(5ms));
  tasks.task_done();
  for (Child& child : joiners) EXPECT_EQ(child.join(), 0);
}

TEST(JoinableProcessQueue, JoinTellsOfTasksThatOneTookWhoHasDied) {
  JoinableQueue<int> tasks{0, "orders"};
  InSharedMemory<std::atomic<int>> taken;
  Child mortal{[&] {
    (void)tasks.get();
    (void)tasks.get();
    tasks.task_done();
    ++*taken;
    sleep_for(1h);
    return true;
  }};
  for (int i = 0; i < 3; ++i) tasks.put(i);
  ASSERT_TRUE(eventually([&] { return *taken == 1; }));
  EXPECT_FALSE(tasks.join_for(5ms)) << "it lives";
  auto joiner = spawn([&] { tasks.join(); });
  mortal.kill();
  EXPECT_FALSE(tasks.join_for(5ms)) << "one is left in the queue";
  Child other{[&] {
    (void)tasks.get();
    sleep_for(30ms);
    tasks.task_done();
    return true;
  }};
  try {
    joiner.get();
    ADD_FAILURE() << "all are done";
  } catch (const TasksLost& lost) {
    EXPECT_NE(std::string{lost.what()}.find("\"orders\": 1 task was taken by a process that has ended"), std::string::npos) << lost.what();
  }
  EXPECT_EQ(other.join(), 0);
  EXPECT_THROW(tasks.join(), TasksLost);
  // Somebody knows what became of it.
  tasks.task_done();
  EXPECT_TRUE(tasks.join_for(0s));
  tasks.put(4);
  EXPECT_FALSE(tasks.join_for(5ms)) << "it may still be taken";
  (void)tasks.get();
  EXPECT_FALSE(tasks.join_for(5ms)) << "it is in our hands";
  tasks.task_done();
  EXPECT_TRUE(tasks.join_for(kPatience));
}

TEST(JoinableProcessQueue, WhoSaysThatADeadOnesTaskIsDoneMayTakeOthersLater) {
  JoinableQueue<int> tasks;
  const auto take_one = [&] { (void)tasks.get(); };
  tasks.put(0);
  take_one();
  tasks.task_done();
  tasks.put(1);
  Child mortal{[&] {
    take_one();
    return true;
  }};
  EXPECT_EQ(mortal.join(), 0);
  EXPECT_THROW(tasks.join(), TasksLost);
  tasks.task_done();
  tasks.put(2);
  take_one();
  EXPECT_FALSE(tasks.join_for(5ms)) << "it is in our hands";
  tasks.task_done();
  EXPECT_TRUE(tasks.join_for(0s));
}

// Each child takes one and ends; in the end there have been more than can be told apart at a time.
TEST(JoinableProcessQueue, JoinKnowsOfManyWhoTookTasksAndEnded) {
  JoinableQueue<int> tasks;
  for (int i = 0; i < 100; ++i) {
    tasks.put(i);
    Child child{[&] {
      (void)tasks.get();
      if (i != 7) tasks.task_done();
      return true;
    }};
    EXPECT_EQ(child.join(), 0);
  }
  EXPECT_THROW(tasks.join(), TasksLost);
  tasks.task_done();
  EXPECT_TRUE(tasks.join_for(0s));
}

// More at a time than are told apart: nobody is accused.
TEST(JoinableProcessQueue, JoinOfTasksThatTooManyTookWaits) {
  JoinableQueue<int> tasks;
  InSharedMemory<std::atomic<int>> took;
  std::vector<Child> children;
  for (int i = 0; i < 70; ++i) tasks.put(i);
  for (int i = 0; i < 70; ++i) {
    children.emplace_back([&] {
      (void)tasks.get();
      ++*took;
      sleep_for(1h);
      return true;
    });
  }
  ASSERT_TRUE(eventually([&] { return *took == 70; }));
  for (Child& child : children) (void)child.kill();
  EXPECT_FALSE(tasks.join_for(300ms));
}

TEST(JoinableProcessQueue, AShutdownThatDropsTheRestTellsOfWhatADeadOneTook) {
  JoinableQueue<int> tasks;
  for (int i = 0; i < 3; ++i) tasks.put(i);
  Child child{[&] {
    (void)tasks.get();
    return true;
  }};
  EXPECT_EQ(child.join(), 0);
  EXPECT_FALSE(tasks.join_for(5ms));
  tasks.shutdown(true);
  EXPECT_THROW(tasks.join(), TasksLost);
  tasks.task_done();
  EXPECT_TRUE(tasks.join_for(0s));
}

// ---- handles -------------------------------------------------------------------------------------------------------

TEST(ProcessQueue, IsSentAsAnArgument) {
  ProcessQueue<int> queue{7, "sent"};
  ProcessQueue<int> other = received(queue);
  EXPECT_EQ(other.maxsize(), 7u);
  EXPECT_STREQ(other.name(), "sent");
  queue.put(1);
  EXPECT_EQ(other.get(), 1);
  other.put(2);
  EXPECT_EQ(queue.get(), 2);
  EXPECT_EQ(received(ProcessQueue<int>{}).name(), nullptr);

  SimpleQueue<std::string> simple{"simple"};
  received(simple).put("x");
  EXPECT_EQ(simple.get(), "x");
  JoinableQueue<int> joinable;
  joinable.put(1);
  received(joinable).task_done();
  EXPECT_TRUE(joinable.join_for(0s));
}

TEST(ProcessQueue, IsNotReceivedAsAnotherType) {
  const ProcessQueue<int> queue;
  Outgoing out;
  out(queue);
  Incoming as_other_items{out.bytes(), [&] {
                            std::vector<OwnedFd> files;
                            files.push_back(OwnedFd::duplicate(out.descriptors().front().get()));
                            return files;
                          }()};
  EXPECT_THROW((void)as_other_items.receive<ProcessQueue<long>>(), ProtocolError);
  Incoming as_other_kind{out.bytes(), out.take_descriptors()};
  EXPECT_THROW((void)as_other_kind.receive<JoinableQueue<int>>(), ProtocolError);
}

TEST(ProcessQueue, OutlivesTheProcessThatMadeIt) {
  SimpleQueue<int> answers;
  Child grandparent{[&] {
    ProcessQueue<int> queue;
    queue.put(42);
    Child child{[&] {
      answers.put(queue.get());
      return true;
    }};
    return child.join() == 0;
  }};
  EXPECT_EQ(grandparent.join(), 0);
  EXPECT_EQ(answers.get_for(kPatience), 42);
}

TEST(ProcessQueue, ManyAtOnceAreIndependent) {
  std::vector<ProcessQueue<int>> queues;
  for (int i = 0; i < 300; ++i) queues.emplace_back();
  Child child{[&] {
    for (int i = 0; i < 300; ++i) queues[i].put(queues[i].get() + 1);
    return true;
  }};
  for (int i = 0; i < 300; ++i) queues[i].put(i);
  EXPECT_EQ(child.join(), 0);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(queues[i].try_get(), i + 1);
}

// ---- items that refuse ---------------------------------------------------------------------------------------------

struct Fussy {
  int number = 0;

  template <class Archive>
  void save(Archive& archive) const {
    if (number < 0) throw std::runtime_error{"will not go"};
    archive(number);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(number);
    if (number == 13) throw std::runtime_error{"will not come"};
  }
};

TEST(ProcessQueue, AnItemThatRefusesLeavesTheQueueUsable) {
  ProcessQueue<Fussy> queue{3};
  EXPECT_THROW(queue.put({-1}), std::runtime_error);
  EXPECT_EQ(queue.qsize(), 0u);
  queue.put({13});
  queue.put({1});
  Child child{[&] {
    try {
      (void)queue.get();
      return false;
    } catch (const std::runtime_error&) {
    }
    return queue.get().number == 1 && !queue.try_get();
  }};
  EXPECT_EQ(child.join(), 0);
  queue.put({2});
  EXPECT_EQ(queue.get().number, 2);
}

struct Lopsided {
  int number = 0;

  template <class Archive>
  void save(Archive& archive) const {
    archive(number, number);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(number);
  }
};

TEST(ProcessQueue, AnItemThatIsNotReadToItsEndIsAnError) {
  ProcessQueue<Lopsided> queue{0, "lopsided"};
  queue.put({1});
  try {
    (void)queue.get();
    FAIL();
  } catch (const ProtocolError& error) {
    EXPECT_STREQ(error.what(),
                 "get from queue \"lopsided\": 4 bytes of the item were not read; do its save() and its "
                 "load() agree?");
  }
  EXPECT_TRUE(queue.empty());
}

TEST(ProcessQueue, AValueWithADescriptorCannotBePut) {
  ProcessQueue<ProcessQueue<int>> queue{0, "queues"};
  try {
    queue.put(ProcessQueue<int>{});
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string{error.what()}.find("put into queue \"queues\": the value holds a descriptor"),
              std::string::npos)
        << error.what();
  }
  EXPECT_TRUE(queue.empty());
}

TEST(ProcessQueue, APutThatGetsNoMemoryIsAnErrorAndTheQueueGoesOn) {
  ProcessQueue<std::string> queue{0, "limited"};
  Child child{[&] {
    const rlimit limit{4'000'000, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      for (;;) queue.put(std::string(100'000, 'x'));
    } catch (const OSError& error) {
      if (std::string{error.what()}.find("for the queue between processes \"limited\"") == std::string::npos)
        return false;
    }
    try {
      queue.put(std::string(10'000'000, 'y'));
      return false;
    } catch (const OSError&) {
    }
    return true;
  }};
  EXPECT_EQ(child.join(), 0);
  const std::size_t fit = queue.qsize();
  EXPECT_GE(fit, 36u);
  queue.put(std::string(10'000'000, 'z'));  // this process has no such limit
  for (std::size_t i = 0; i < fit; ++i) ASSERT_EQ(queue.get().size(), 100'000u);
  EXPECT_EQ(queue.get(), std::string(10'000'000, 'z'));
}

}  // namespace
}  // namespace weft::test
