#include <weft/http/limits.hpp>

#include <algorithm>
#include <atomic>
#include <vector>

#include <weft/thread/current_thread.hpp>

#include "http/scenes.hpp"

namespace weft::test {
namespace {

class HttpConnectionTest : public HttpTest {};
WEFT_IN_EVERY_WORLD(HttpConnectionTest);

TEST_P(HttpConnectionTest, AreUsedAgain) {
  const Limits patient{{}};
  HttpServer server{always(http_answer("again"))};
  in_world([&](World& world) {
    for (int i = 0; i < 10; ++i) EXPECT_EQ(http::get(server.url()).text(), "again");
    // By whoever asks.
    for (Runner& runner : world.spawn_many(1, [&](int) { EXPECT_EQ(http::get(server.url()).text(), "again"); })) runner.join();
    EXPECT_EQ(server.connections(), 1);
    EXPECT_EQ(server.requests(), 11);
  });
}

TEST_P(HttpConnectionTest, AreNotUsedAgainWhenTheServerSaysSo) {
  const Limits patient{{}};
  HttpServer polite{once(http_answer("bye", "200 OK", "Connection: close\r\n"))};
  HttpServer rude{once(http_answer("bye"))};
  in_world([&](World&) {
    for (HttpServer* server : {&polite, &rude}) {
      for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(http::get(server->url()).text(), "bye");
        EXPECT_TRUE(eventually([&] { return server->open() == 0; }));
      }
      EXPECT_EQ(server->connections(), 5);
    }
  });
}

TEST_P(HttpConnectionTest, AreClosedWhenNobodyHasUsedThemForLong) {
  const Limits forgetful{{.idle_time = 1ms}};
  HttpServer server{always(http_answer("x"))};
  in_world([&](World&) {
    EXPECT_EQ(http::get(server.url()).text(), "x");
    EXPECT_TRUE(eventually([&] { return server.open() == 0; }));
    EXPECT_EQ(http::get(server.url()).text(), "x");
    EXPECT_EQ(server.connections(), 2);
  });
}

TEST_P(HttpConnectionTest, AreAsManyAsTheLimitAllows) {
  const Limits narrow{{.per_host = 3}};
  std::atomic<int> at_once{0};
  std::atomic<int> most{0};
  HttpServer server{[&](const HttpRequest&, Socket& peer) {
    most = std::max<int>(most, ++at_once);
    sleep_for(1ms);
    --at_once;
    peer.send_all(http_answer("x"));
    return true;
  }};
  in_world([&](World& world) {
    std::vector<Runner> runners = world.spawn_many(30, [&](int) { EXPECT_EQ(http::get(server.url()).text(), "x"); });
    join_all(runners);
    EXPECT_LE(most, 3);
    EXPECT_LE(server.connections(), 3);
  });
}

TEST_P(HttpConnectionTest, WaitingForOneHasADeadlineToo) {
  const Limits narrow{{.total = 1}};
  HttpServer silent{and_then_silence()};
  in_world([&](World& world) {
    Runner first = world.spawn([&] { (void)http::get(silent.url()); });
    EXPECT_TRUE(eventually([&] { return silent.requests() == 1; }));
    EXPECT_THROW((void)http::get(silent.url(), {.timeout = 20ms}), TimeoutError);
    EXPECT_EQ(silent.connections(), 1);
    first.kill();
    EXPECT_EQ(first.join(), Ending::Cancelled);
  });
}

TEST_P(HttpConnectionTest, TheThreadBehindThemIsNoneOfTheProgram) {
  HttpServer server{always(http_answer("x"))};
  in_world([&](World&) {
    const std::size_t before = active_count();
    EXPECT_EQ(http::get(server.url()).text(), "x");
    EXPECT_EQ(active_count(), before);
  });
}

}  // namespace
}  // namespace weft::test
