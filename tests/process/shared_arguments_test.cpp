// What lies in shared memory is an argument of processes, by each start method.
#include <unistd.h>

#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/process/array.hpp>
#include <weft/process/process.hpp>
#include <weft/process/shareable_list.hpp>
#include <weft/process/shared_memory.hpp>
#include <weft/process/value.hpp>

#include "support/eventually.hpp"

namespace weft::test {
namespace {

using process::Array;
using process::ShareableList;
using process::SharedMemory;
using process::Value;

/// One at a time, whoever does it.
void add_often(Value<long> counter, Array<int> shares, int index) {
  for (int i = 0; i < 1'000; ++i) {
    const std::scoped_lock guard{counter};
    counter += 1;
  }
  shares[static_cast<std::size_t>(index)] = 1'000;
}

void fill_in(const SharedMemory& memory, ShareableList list) {
  memory.buffer().back() = std::byte{7};
  list[0] = list[1];
  list[1] = nullptr;
}

/// Whether it ended well, in time.
bool ended(Process& child) {
  const bool in_time = child.join_for(kPatience);
  if (!in_time) child.kill();
  child.join();
  return in_time && child.exitcode() == 0;
}

class SharedArguments : public testing::TestWithParam<StartMethod> {};

TEST_P(SharedArguments, ValueAndArrayAreSharedAndSoIsTheirLock) {
  Value<long> counter{0};
  const Array<int> shares(3);
  std::vector<Process> children;
  for (int i = 0; i < 3; ++i) children.push_back(Process{GetParam(), add_often, counter, shares, i}.start());
  for (Process& child : children) EXPECT_TRUE(ended(child));
  EXPECT_EQ(counter, 3'000);
  for (const int share : shares) EXPECT_EQ(share, 1'000);
}

TEST_P(SharedArguments, MemoryAndListAreShared) {
  const SharedMemory memory{10'001};
  const ShareableList list{1, "moved"};
  Process child{GetParam(), fill_in, memory, list};
  child.start();
  EXPECT_TRUE(ended(child));
  EXPECT_EQ(memory.buffer().back(), std::byte{7});
  EXPECT_EQ(list[0], "moved");
  EXPECT_EQ(list[1], nullptr);
}

// Such a child runs no exit handlers.
TEST(SharedMemory, ANameEndsWithTheProcessObjectThatCreatedIt) {
  const std::string name = "weft-test-" + std::to_string(::getpid()) + "-of-a-child";
  Process child{weft::fork, [&] { (void)SharedMemory::create(name, 1); }};
  child.start();
  EXPECT_TRUE(ended(child));
  EXPECT_NE(::access(("/dev/shm/" + name).c_str(), F_OK), 0);
}

INSTANTIATE_TEST_SUITE_P(StartMethods, SharedArguments, testing::Values(StartMethod::Fork, StartMethod::Spawn, StartMethod::Forkserver),
                         [](const auto& method) { return std::string{process::to_string(method.param)}; });

}  // namespace
}  // namespace weft::test
