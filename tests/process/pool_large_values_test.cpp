#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/process/process_pool_executor.hpp>

#include "process/memory/large_block.hpp"
#include "process/process_kinds.hpp"

// The memory that large values of a pool go in.
namespace weft::test {
namespace {

using process::detail::LargeBlock;

std::string same(std::string text) { return text; }
std::string die_with(const std::string& text) {
  ::raise(SIGKILL);
  return text;
}

std::size_t blocks_mapped_by(int pid) {
  std::ifstream maps{"/proc/" + std::to_string(pid) + "/maps"};
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find("weft-large-value") != std::string::npos;
  return count;
}

void send_some(ProcessPoolExecutor& pool) {
  for (int i = 0; i < 20; ++i) {
    const std::string text(1'000'000 + static_cast<std::size_t>(i), static_cast<char>('a' + i));
    EXPECT_EQ(pool.submit(same, text).get(), text);
  }
}

TEST(PoolLargeValues, UseTheSameMemoryAgain) {
  LargeBlock::trim(std::chrono::nanoseconds{0});
  ProcessPoolExecutor pool{1};
  send_some(pool);
  // One there and one back.
  EXPECT_EQ(blocks_mapped_by(::getpid()), 2U);
  EXPECT_EQ(blocks_mapped_by(pool.pids().at(0)), 2U);
}

TEST(PoolLargeValues, GiveTheirMemoryBackWhenNoMoreCome) {
  LargeBlock::trim(std::chrono::nanoseconds{0});
  ProcessPoolExecutor pool{1};
  send_some(pool);
  EXPECT_TRUE(eventually([] { return blocks_mapped_by(::getpid()) == 0; }));
  EXPECT_TRUE(eventually([worker = pool.pids().at(0)] { return blocks_mapped_by(worker) == 0; }));
}

TEST(PoolLargeValues, GiveTheirMemoryBackWithTheirPool) {
  LargeBlock::trim(std::chrono::nanoseconds{0});
  {
    ProcessPoolExecutor pool{1};
    send_some(pool);
  }
  EXPECT_EQ(blocks_mapped_by(::getpid()), 0U);
}

TEST(PoolLargeValues, OfAWorkerThatDiesAreNotMixedUp) {
  ProcessPoolExecutor pool{2};
  for (int round = 0; round < 10; ++round) {
    const std::string doomed(1'000'000, 'x');
    Future<std::string> dies = pool.submit(die_with, doomed);
    std::vector<std::string> texts;
    std::vector<Future<std::string>> results;
    for (int i = 0; i < 4; ++i) {
      texts.emplace_back(900'000, static_cast<char>('a' + round + i));
      results.push_back(pool.submit(same, texts.back()));
    }
    for (std::size_t i = 0; i < results.size(); ++i) EXPECT_TRUE(results[i].get() == texts[i]);
    EXPECT_THROW((void)dies.get(), WorkerDied);
  }
}

TEST(PoolLargeValues, ThatAreTakenBackAreSentAgain) {
  ProcessPoolExecutor pool{1};
  Gate gate;
  Future<int> held = pool.submit(pass_then_pid, gate.entrance());
  const std::string text(1'000'000, 'q');
  Future<std::string> cancelled = pool.submit(same, text);
  EXPECT_TRUE(cancelled.cancel());
  Future<std::string> kept = pool.submit(same, text);
  gate.open();
  EXPECT_TRUE(kept.get() == text);
  (void)held.get();
}

}  // namespace
}  // namespace weft::test
