// The examples of queues between processes print what their texts say.
#include <gtest/gtest.h>

#include "support/program.hpp"

namespace weft::test {
namespace {

TEST(ProcessQueueExamples, TasksAndResults) {
  EXPECT_EQ(output_of_example("tasks_and_results"),
            "the producer has ended, 20 tasks are in the queue\n"
            "every task is done, 20 results are in the other queue\n"
            "parsed: tasks 0 to 19, 20 of them, 320 characters in all\n"
            "once more: task_done() on a queue: called more often than items were put\n");
}

}  // namespace
}  // namespace weft::test
