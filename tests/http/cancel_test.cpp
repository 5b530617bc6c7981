#include <weft/http/request.hpp>

#include <stop_token>
#include <vector>

#include <weft/sync/scope.hpp>

#include "http/scenes.hpp"
#include "net/scenes.hpp"

namespace weft::test {
namespace {

class HttpCancelTest : public HttpTest {};
WEFT_IN_EVERY_WORLD(HttpCancelTest);

TEST_P(HttpCancelTest, AKillEndsARequestWhereverItIs) {
  DeafServer deaf;
  HttpServer silent{and_then_silence()};
  HttpServer slow{and_then_silence("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")};
  const std::string deaf_url = "http://" + deaf.server.local_address().to_string() + "/";
  in_world([&](World& world) {
    for (const std::string& url : {deaf_url, silent.url(), slow.url()}) {
      const int before = silent.requests() + slow.requests();
      Runner asking = world.spawn([&] { (void)http::get(url); });
      EXPECT_TRUE(asking.soon_waits_in(detail::WaitKind::Read));
      if (url != deaf_url) {
        EXPECT_TRUE(eventually([&] { return silent.requests() + slow.requests() > before; }));
      }
      asking.kill();
      EXPECT_EQ(asking.join(), Ending::Cancelled);
    }
    EXPECT_TRUE(eventually([&] { return silent.open() == 0 && slow.open() == 0; })) << "the connections are closed";
  });
}

TEST_P(HttpCancelTest, AKilledContextAsksNobody) {
  HttpServer server{always(http_answer(""))};
  in_world([&](World& world) {
    Event killed;
    Runner asking = world.spawn([&] {
      {
        const Shield shield;
        killed.wait();
      }
      (void)http::get(server.url());
    });
    asking.kill();
    killed.set();
    EXPECT_EQ(asking.join(), Ending::Cancelled);
    EXPECT_EQ(server.connections(), 0);
  });
}

TEST_P(HttpCancelTest, AStopTokenEndsTheRequestsInItsScope) {
  HttpServer silent{and_then_silence()};
  in_world([&](World& world) {
    std::stop_source stop;
    Runner asking = world.spawn([&] {
      const CancelScope scope{stop.get_token()};
      (void)http::get(silent.url());
    });
    EXPECT_TRUE(asking.soon_waits_in(detail::WaitKind::Read));
    stop.request_stop();
    EXPECT_EQ(asking.join(), Ending::Cancelled);
  });
}

// Kills that race with answers: each request ends in one way or the other, and nothing is left behind.
TEST_P(HttpCancelTest, KillsMayComeAtAnyMoment) {
  HttpServer server{always(http_answer(std::string(20'000, 'x')))};
  in_world([&](World& world) {
    for (int round = 0; round < 20; ++round) {
      std::vector<Runner> runners = world.spawn_many(8, [&](int i) {
        std::size_t streamed = 0;
        http::RequestOptions options;
        if (i % 2 == 0) {
          options.on_body = [&](const http::Response&, std::string_view bytes) { streamed += bytes.size(); };
        }
        const http::Response response = http::get(server.url(), std::move(options));
        EXPECT_EQ(response.content.size() + streamed, 20'000u);
      });
      for (std::size_t i = 0; i < runners.size(); ++i) {
        if ((i + static_cast<std::size_t>(round)) % 3 == 0) yield();
        runners[i].kill();
      }
      join_all(runners);
    }
    EXPECT_EQ(http::get(server.url()).status_code, 200);
  });
}

}  // namespace
}  // namespace weft::test
