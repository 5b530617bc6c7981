// The examples of queues print what their texts say.
#include <gtest/gtest.h>

#include "support/program.hpp"

namespace weft::test {
namespace {

TEST(QueueExamples, ProducerConsumer) {
  EXPECT_EQ(output_of_example("producer_consumer"),
            "20 items are in, the queue is full\n"
            "the 21st, waiting at most 50 ms: no room\n"
            "the 21st, waiting as long as it takes: still waits\n"
            "a consumer takes 1\n"
            "the 21st is in, and there are 20 again\n"
            "two producers have put 60 jobs\n"
            "three consumers have done 60, the numbers add up to 930\n"
            "the consumers have gone home\n"
            "one more: put into a queue that is shut down\n");
}

TEST(QueueExamples, PriorityQueue) {
  EXPECT_EQ(output_of_example("priority_queue"),
            "PriorityQueue, smallest first, equal ones as they came:\n"
            "  1  Cleo, a heart attack\n"
            "  2  Bob, a broken arm\n"
            "  2  Eve, a burn\n"
            "  3  Ann, a cold\n"
            "  3  Dan, a cold\n"
            "PriorityQueue with std::greater, greatest first:\n"
            "  12.25  Bob\n"
            "  12.25  Cleo\n"
            "  9.5  Ann\n"
            "Queue, oldest first: Ann Bob Cleo\n"
            "LifoQueue, youngest first: Cleo Bob Ann\n");
}

}  // namespace
}  // namespace weft::test
