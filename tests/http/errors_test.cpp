#include <weft/http/errors.hpp>

#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <vector>

#include <weft/net/server_socket.hpp>
#include <weft/sync/scope.hpp>

#include "http/scenes.hpp"
#include "net/scenes.hpp"

namespace weft::test {
namespace {

class HttpErrorTest : public HttpTest {};
WEFT_IN_EVERY_WORLD(HttpErrorTest);

std::string reason_of_broken(const std::string& url) {
  try {
    (void)http::get(url, {.timeout = kPatience});
    ADD_FAILURE() << "did not throw";
    return {};
  } catch (const http::ConnectionError& error) {
    EXPECT_EQ(error.url(), url);
    EXPECT_EQ(error.what(), "GET " + url + ": " + error.reason());
    return error.reason();
  }
}

TEST_P(HttpErrorTest, WhatCannotBeReachedIsNamedWithTheReason) {
  in_world([](World&) {
    const std::string url = "http://127.0.0.1:" + std::to_string(listener().local_address().port()) + "/x";  // nobody listens there
    EXPECT_EQ(reason_of_broken(url), "cannot connect: Connection refused");
    try {
      (void)http::get(url);
      ADD_FAILURE();
    } catch (const http::HTTPStatusError&) {
      ADD_FAILURE() << "a status is another kind of error";
    } catch (const http::RequestException& error) {
      EXPECT_EQ(dynamic_cast<const http::ConnectionError&>(error).errno_value(), ECONNREFUSED);
    }
    // No name server has to be asked for a name that is too long to be one.
    const std::string unknown = std::string(70, 'x') + ".invalid";
    EXPECT_EQ(reason_of_broken("http://" + unknown + "/"), "Could not resolve host: " + unknown);
  });
}

TEST_P(HttpErrorTest, AConnectionThatBreaksIsNoAnswer) {
  HttpServer cut{once("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")};
  HttpServer cut_chunk{once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly this")};
  HttpServer cut_head{once("HTTP/1.1 200 OK\r\nContent-Le")};
  HttpServer mute{once("")};
  HttpServer other{once("SSH-2.0-OpenSSH_9.2\r\n")};
  HttpServer reset{[](const HttpRequest&, Socket& peer) {
    peer.send_all(std::string_view{"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"});
    const linger now{.l_onoff = 1, .l_linger = 0};  // close() then resets the connection
    peer.set_option(SOL_SOCKET, SO_LINGER, std::as_bytes(std::span{&now, 1}));
    return false;
  }};
  in_world([&](World&) {
    EXPECT_EQ(reason_of_broken(cut.url()), "transfer closed with 91 bytes remaining to read");
    EXPECT_EQ(reason_of_broken(cut_chunk.url()), "transfer closed with outstanding read data remaining");
    EXPECT_EQ(reason_of_broken(cut_head.url()), "the connection was closed in the midst of the headers");
    EXPECT_EQ(reason_of_broken(mute.url()), "Empty reply from server");
    EXPECT_NE(reason_of_broken(other.url()).find("HTTP/0.9"), std::string::npos);
    EXPECT_EQ(reason_of_broken(reset.url()), "Recv failure: Connection reset by peer");
  });
}

TEST_P(HttpErrorTest, AServerWithoutTlsIsNoSecureOne) {
  in_world([&](World& world) {
    Socket plain = listener();
    Runner serving = world.spawn([&] {
      Socket peer = plain.accept();
      (void)peer.recv(16384);
      peer.send_all(std::string_view{"HTTP/1.1 400 Bad Request\r\n\r\n"});
    });
    const std::string reason = reason_of_broken("https://" + plain.local_address().to_string() + "/");
    EXPECT_NE(reason.find("SSL"), std::string::npos) << reason;
  });
}

TEST_P(HttpErrorTest, TextsThatAreNoUrlSaySo) {
  in_world([](World&) {
    const auto refused = [](const std::string& url) { return message_of<http::InvalidURL>([&] { (void)http::get(url); }); };
    EXPECT_EQ(refused("example.org/x"), "URL \"example.org/x\": no scheme; it has to begin with http:// or https://");
    EXPECT_EQ(refused(""), "URL \"\": no scheme; it has to begin with http:// or https://");
    EXPECT_EQ(refused("file:///etc/passwd"), "URL \"file:///etc/passwd\": the scheme is file; it has to be http or https");
    EXPECT_EQ(refused(std::string("http://a\0b/", 11)), "URL \"http://a\": it holds a NUL");
    for (const char* url : {"http://", "http://h:port/", "http://h:99999/", "http://a b/", "http://h/\r\nX: y"}) {
      EXPECT_NE(refused(url), "") << url;
    }
  });
}

TEST_P(HttpErrorTest, HeadersThatWouldBecomeOthersAreRefused) {
  HttpServer server{always(http_answer(""))};
  in_world([&](World&) {
    const auto refused = [&](const std::string& name, const std::string& value) {
      return message_of<http::InvalidHeader>([&] { (void)http::get(server.url(), {.headers = {{name, value}}}); });
    };
    EXPECT_EQ(refused("X Y", "1"), "GET " + server.url() + ": \"X Y\" is no name of a header");
    EXPECT_EQ(refused("X", "1\r\nY: 2"), "GET " + server.url() + ": the value of the header X holds a control character, such as an end of line");
    EXPECT_NE(refused("", "1"), "");
    EXPECT_NE(refused("X:", "1"), "");
    EXPECT_NE(refused("X", std::string("\0", 1)), "");
    EXPECT_THROW((void)http::request("GET /x HTTP/1.1\r\n", server.url()), http::InvalidHeader);
    EXPECT_THROW((void)http::request("", server.url()), http::InvalidHeader);
    EXPECT_THROW((void)http::request("CONNECT", server.url()), http::InvalidHeader);
    EXPECT_THROW((void)http::request("HEAD", server.url(), {.body = "x"}), http::InvalidHeader);
    EXPECT_EQ(server.connections(), 0);
  });
}

TEST_P(HttpErrorTest, AnswersHaveTheirLimits) {
  const std::string long_line(150'000, 'x');
  std::string many_lines;
  for (int i = 0; i < 300; ++i) many_lines += "X-Fill: " + std::string(5000, 'x') + "\r\n";
  HttpServer server{[&](const HttpRequest& request, Socket& peer) {
    if (request.target == "/line") peer.send_all(http_answer("", "200 OK", "X-Long: " + long_line + "\r\n"));
    if (request.target == "/lines") peer.send_all(http_answer("", "200 OK", many_lines));
    if (request.target == "/fair") peer.send_all(http_answer("", "200 OK", many_lines.substr(0, 5010 * 40)));
    if (request.target == "/body") peer.send_all(http_answer(std::string(100'000, 'x')));
    return false;
  }};
  in_world([&](World&) {
    EXPECT_EQ(message_of<http::ResponseTooLarge>([&] { (void)http::get(server.url("/lines")); }),
              "GET " + server.url("/lines") + ": the headers of the answer are longer than 256 KiB");
    EXPECT_EQ(http::get(server.url("/fair")).headers.get_all("x-fill").size(), 40u);
    EXPECT_NE(reason_of_broken(server.url("/line")).find("a line of its head is longer than"), std::string::npos);
    EXPECT_EQ(message_of<http::ResponseTooLarge>([&] { (void)http::get(server.url("/body"), {.max_size_bytes = 99'999}); }),
              "GET " + server.url("/body") + ": the body is longer than max_size_bytes, 99999");
    EXPECT_EQ(http::get(server.url("/body"), {.max_size_bytes = 100'000}).content.size(), 100'000u);
  });
}

// ---- time ------------------------------------------------------------------------------------------------------------

TEST_P(HttpErrorTest, ADeadlineSaysHowFarItCame) {
  DeafServer deaf;
  HttpServer silent{and_then_silence()};
  HttpServer slow{and_then_silence("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")};
  const std::string deaf_url = "http://" + deaf.server.local_address().to_string() + "/";
  in_world([&](World&) {
    const auto timed_out = [](const std::string& url, Duration timeout) {
      const Stopwatch watch;
      const std::string message = message_of<TimeoutError>([&] { (void)http::get(url, {.timeout = timeout}); });
      EXPECT_GE(watch.elapsed(), timeout);
      return message;
    };
    EXPECT_EQ(timed_out(deaf_url, 50ms), "GET " + deaf_url + ": timed out connecting");
    // Enough time for the part before; more is only waited for if the machine is very slow.
    const auto timed_out_at_last = [&](const std::string& url, const std::string& expected) {
      std::string message;
      for (Duration timeout = 50ms; message != expected && timeout < kPatience; timeout *= 4) message = timed_out(url, timeout);
      EXPECT_EQ(message, expected);
    };
    timed_out_at_last(silent.url(), "GET " + silent.url() + ": timed out waiting for the answer");
    timed_out_at_last(slow.url(), "GET " + slow.url() + ": timed out after 4 bytes of the answer");
    EXPECT_TRUE(eventually([&] { return silent.open() == 0 && slow.open() == 0; })) << "the connections are closed";
  });
}

TEST_P(HttpErrorTest, ADeadlineThatHasPassedAsksNobody) {
  HttpServer server{always(http_answer(""))};
  in_world([&](World&) {
    EXPECT_THROW((void)http::get(server.url(), {.deadline = Deadline::already()}), TimeoutError);
    EXPECT_THROW((void)http::get(server.url(), {.timeout = Duration::zero()}), TimeoutError);
    EXPECT_EQ(server.connections(), 0);
  });
}

TEST_P(HttpErrorTest, ADeadlineCoversRedirects) {
  std::atomic<int> hops{0};
  HttpServer server{[&](const HttpRequest&, Socket& peer) {
    sleep_for(10ms);
    peer.send_all(http_answer("", "302 Found", "Location: /" + std::to_string(++hops) + "\r\n"));
    return true;
  }};
  in_world([&](World&) {
    EXPECT_THROW((void)http::get(server.url(), {.timeout = 100ms, .max_redirects = 1'000'000}), TimeoutError);
  });
}

TEST_P(HttpErrorTest, AScopesDeadlineEndsTheRequest) {
  HttpServer silent{and_then_silence()};
  in_world([&](World&) {
    {
      const DeadlineScope scope{20ms};
      EXPECT_THROW((void)http::get(silent.url()), TimeoutError);
    }
    EXPECT_TRUE(eventually([&] { return silent.open() == 0; }));
  });
}

}  // namespace
}  // namespace weft::test
