#include <weft/http/request.hpp>

#include <atomic>
#include <stdexcept>
#include <string>

#include "http/scenes.hpp"

namespace weft::test {
namespace {

class HttpStreamTest : public HttpTest {};
WEFT_IN_EVERY_WORLD(HttpStreamTest);

std::string numbered(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; text.size() < bytes; ++i) text += std::to_string(i) + ' ';
  text.resize(bytes);
  return text;
}

TEST_P(HttpStreamTest, TheBodyComesInPiecesAndInOrder) {
  const std::string body = numbered(3'000'000);
  HttpServer server{always(http_answer(body, "200 OK", "X-Kind: long\r\n"))};
  in_world([&](World&) {
    std::string received;
    int pieces = 0;
    http::RequestOptions options;
    options.on_body = [&](const http::Response& head, std::string_view bytes) {
      if (pieces++ == 0) {
        EXPECT_EQ(head.status_code, 200);
        EXPECT_EQ(head.url, server.url());
        EXPECT_EQ(head.headers.get("x-kind"), "long");
      }
      received += bytes;
      if (pieces % 4 == 0) yield();
    };
    const http::Response response = http::get(server.url(), std::move(options));
    EXPECT_TRUE(received == body);
    EXPECT_GT(pieces, 1);
    EXPECT_EQ(response.content, "");
    EXPECT_EQ(response.headers.get("x-kind"), "long");
  });
}

TEST_P(HttpStreamTest, PiecesComeBeforeTheEnd) {
  Event first_seen;
  HttpServer server{[&](const HttpRequest&, Socket& peer) {
    peer.send_all(std::string_view{"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nfirst"});
    first_seen.wait();
    peer.send_all(std::string_view{"second"});
    return true;
  }};
  in_world([&](World&) {
    first_seen.clear();
    std::string received;
    http::RequestOptions options{.timeout = kPatience};
    options.on_body = [&](const http::Response&, std::string_view bytes) {
      received += bytes;
      first_seen.set();
    };
    (void)http::get(server.url(), std::move(options));
    EXPECT_EQ(received, "firstsecond");
  });
}

// A callback that takes its time holds the server back, not the other requests.
TEST_P(HttpStreamTest, ASlowCallbackHoldsTheServerBack) {
  constexpr std::size_t kPiece = 1u << 20;
  constexpr std::size_t kPieces = 48;  // more than the kernel takes for both ends
  std::atomic<std::size_t> sent{0};
  HttpServer server{[&](const HttpRequest& request, Socket& peer) {
    if (request.target == "/short") {
      peer.send_all(http_answer("short"));
      return true;
    }
    peer.send_all("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kPiece * kPieces) + "\r\n\r\n");
    const std::string piece(kPiece, 'x');
    for (std::size_t i = 0; i < kPieces; ++i, ++sent) peer.send_all(piece);
    return true;
  }};
  in_world([&](World&) {
    sent = 0;
    std::size_t received = 0;
    http::RequestOptions options{.timeout = kPatience};
    options.on_body = [&](const http::Response&, std::string_view bytes) {
      if (received == 0) {
        // Until the server has come to a standstill.
        std::size_t before = 0;
        do {
          before = sent;
          sleep_for(100ms);
        } while (sent != before);
        EXPECT_LT(sent, kPieces);
        EXPECT_EQ(http::get(server.url("/short"), {.timeout = kPatience}).text(), "short");
      }
      received += bytes.size();
      EXPECT_LE(bytes.size(), 1u << 20) << "no more is held than that";
    };
    (void)http::get(server.url(), std::move(options));
    EXPECT_EQ(received, kPiece * kPieces);
  });
}

TEST_P(HttpStreamTest, ADeadlineEndsAStreamThatNeverPauses) {
  HttpServer server{[](const HttpRequest&, Socket& peer) {
    peer.send_all(std::string_view{"HTTP/1.1 200 OK\r\n\r\n"});
    const std::string piece(100'000, 'x');
    for (;;) peer.send_all(piece);
    return false;
  }};
  in_world([&](World&) {
    http::RequestOptions options{.timeout = 50ms};
    options.on_body = [](const http::Response&, std::string_view) { sleep_for(5ms); };
    EXPECT_THROW((void)http::get(server.url(), std::move(options)), TimeoutError);
    EXPECT_TRUE(eventually([&] { return server.open() == 0; }));
  });
}

TEST_P(HttpStreamTest, WhatTheCallbackThrowsEndsTheRequest) {
  const std::string body(10'000'000, 'x');
  HttpServer server{always(http_answer(body))};
  in_world([&](World& world) {
    int calls = 0;
    http::RequestOptions options;
    options.on_body = [&](const http::Response&, std::string_view) {
      ++calls;
      throw std::runtime_error{"seen enough"};
    };
    EXPECT_EQ(message_of<std::runtime_error>([&] { (void)http::get(server.url(), std::move(options)); }), "seen enough");
    EXPECT_EQ(calls, 1);
    EXPECT_TRUE(eventually([&] { return server.open() == 0; })) << "the connection is closed";

    Event begun;
    Runner streaming = world.spawn([&] {
      http::RequestOptions waiting;
      waiting.on_body = [&](const http::Response&, std::string_view) {
        begun.set();
        Event{}.wait();
      };
      (void)http::get(server.url(), std::move(waiting));
    });
    begun.wait();
    streaming.kill();
    EXPECT_EQ(streaming.join(), Ending::Cancelled);
    EXPECT_TRUE(eventually([&] { return server.open() == 0; }));
  });
}

TEST_P(HttpStreamTest, BodiesOfRedirectsAndAnswersWithoutOneAreNotShown) {
  HttpServer server{[&](const HttpRequest& request, Socket& peer) {
    if (request.target == "/") peer.send_all(http_answer("not here", "302 Found", "Location: /end\r\n"));
    if (request.target == "/end") peer.send_all(http_answer("here"));
    if (request.target == "/nothing") peer.send_all(http_answer(""));
    if (request.target == "/cut") peer.send_all(std::string_view{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal"});
    return request.target != "/cut";
  }};
  in_world([&](World&) {
    std::string seen;
    const auto get = [&](const std::string& path, bool allow_redirects = true) {
      seen.clear();
      http::RequestOptions options{.allow_redirects = allow_redirects};
      options.on_body = [&](const http::Response&, std::string_view bytes) { seen += bytes; };
      return http::get(server.url(path), std::move(options));
    };
    EXPECT_EQ(get("/").status_code, 200);
    EXPECT_EQ(seen, "here");
    EXPECT_EQ(get("/", false).status_code, 302);
    EXPECT_EQ(seen, "not here");
    EXPECT_EQ(get("/nothing").status_code, 200);
    EXPECT_EQ(seen, "");
    EXPECT_THROW((void)get("/cut"), http::ConnectionError);
    EXPECT_EQ(seen, "hal");
  });
}

}  // namespace
}  // namespace weft::test
