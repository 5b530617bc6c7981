// Peers that hardly move: told from slow ones by how many bytes pass in a window of time.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "app/fixture.hpp"
#include "weft/fiber/fiber.hpp"
#include "weft/fiber/spawn.hpp"
#include "weft/fiber/this_fiber.hpp"
#include "weft/net/socket.hpp"
#include "xfer/wire.hpp"

namespace weft::app {
namespace {

using namespace std::chrono_literals;
using test::kPatience;

constexpr Pace::Limit kLimit{.bytes_per_second = 1000, .window = 50ms};  // 50 bytes a window

TEST(Pace, CountsTheBytesOfEachWindow) {
  Pace pace(kLimit);
  pace.enter();
  pace.moved(50);
  sleep_for(60ms);
  EXPECT_TRUE(pace.is_fast_enough());
  pace.moved(49);
  sleep_for(60ms);
  EXPECT_FALSE(pace.is_fast_enough());
}

TEST(Pace, IsNotJudgedBeforeTheWindowEnds) {
  Pace pace({.bytes_per_second = 1000, .window = 60s});
  pace.enter();
  EXPECT_TRUE(pace.is_fast_enough());
}

TEST(Pace, LeavesOutTheTimeThatTheOwnDiskTakes) {
  Pace pace({.bytes_per_second = 1000, .window = 60s});
  pace.enter();
  const Duration before = pace.deadline().remaining();
  pace.leave();
  sleep_for(100ms);
  pace.enter();
  EXPECT_GT(pace.deadline().remaining(), before - 50ms);
}

TEST(Pace, OfZeroStillWantsAByteAWindow) {
  Pace pace({.bytes_per_second = 0, .window = 20ms});
  pace.enter();
  pace.moved(1);
  sleep_for(25ms);
  EXPECT_TRUE(pace.is_fast_enough());
  sleep_for(25ms);
  EXPECT_FALSE(pace.is_fast_enough());
}

TEST(SlowPeer, ThatDripsIsCut) {
  auto [ours, theirs] = Socket::socketpair();
  Wire wire(std::move(ours), 1 << 20, kLimit);
  std::atomic<bool> is_over{false};
  Fiber<void> dripping = spawn([&] {
    while (!is_over) {
      theirs.send_all("x");
      sleep_for(5ms);
    }
  });
  std::byte body[100'000];
  EXPECT_THROW(wire.recv_exactly(body), TooSlow);
  is_over = true;
  dripping.join();
}

TEST(SlowPeer, ThatDoesNotReadIsCut) {
  auto [ours, theirs] = Socket::socketpair();
  Wire wire(std::move(ours), 1 << 20, kLimit);
  const std::vector<std::byte> chunk(8 << 20);
  EXPECT_THROW(wire.send_chunk(chunk, 0), TooSlow);
}

TEST(SlowPeer, ThatMovesEnoughIsNotCut) {
  auto [ours, theirs] = Socket::socketpair();
  Wire wire(std::move(ours), 1 << 20, {.bytes_per_second = 1, .window = 10s});
  Fiber<void> sending = spawn([&] {
    for (int i = 0; i < 20; ++i) {
      theirs.send_all(std::string(100, 'x'));
      sleep_for(2ms);
    }
  });
  std::byte body[2000];
  EXPECT_NO_THROW(wire.recv_exactly(body));
  sending.join();
}

// The whole way, with the window the program has: half a minute.
TEST(SlowPeer, OfTheServerIsToldSoAndDisconnected) {
  if (!std::getenv("WEFT_STRESS")) GTEST_SKIP() << "takes half a minute: with WEFT_STRESS=1";
  test::ServerProcess server({"--min-rate", "10K"});
  test::RawClient client(server.port());
  client.send_frame(R"({"msg_type":"hello","version":1})");
  ASSERT_TRUE(client.recv_frame());
  client.send_frame(R"({"msg_type":"put","id":1,"name":"slow","size":1000000,"checks":false})");
  ASSERT_TRUE(client.recv_frame());
  client.send_frame(R"({"msg_type":"go","id":1,"offset":0})");
  client.send_length(1'000'000);
  client.send(std::string(8, '\0'));
  std::atomic<bool> is_over{false};
  std::thread dripping([&] {
    while (!is_over && client.send("x")) std::this_thread::sleep_for(20ms);
  });
  const auto began = std::chrono::steady_clock::now();
  const std::optional<std::string> answer = client.recv_frame();
  is_over = true;
  dripping.join();
  ASSERT_TRUE(answer);
  EXPECT_EQ(nlohmann::json::parse(*answer)["code"], "too_slow") << *answer;
  EXPECT_GT(std::chrono::steady_clock::now() - began, 25s);
  EXPECT_TRUE(client.sees_the_end());
}

}  // namespace
}  // namespace weft::app
