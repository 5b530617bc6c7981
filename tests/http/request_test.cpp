#include <weft/http/request.hpp>

#include <vector>

#include <weft/http/session.hpp>

#include "http/scenes.hpp"

namespace weft::test {
namespace {

WEFT_IN_EVERY_WORLD(HttpTest);

TEST_P(HttpTest, GetReturnsWhatTheServerSent) {
  HttpServer server{always(http_answer("hello, weft", "200 Fine by me", "X-Mood: good\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"))};
  in_world([&](World&) {
    const http::Response response = http::get(server.url("/greeting?from=weft"), {.timeout = kPatience});
    EXPECT_EQ(response.url, server.url("/greeting?from=weft"));
    EXPECT_EQ(response.status_code, 200);
    EXPECT_EQ(response.reason, "Fine by me");
    EXPECT_TRUE(response.ok());
    EXPECT_EQ(response.text(), "hello, weft");
    EXPECT_EQ(response.content, "hello, weft");
    EXPECT_EQ(response.headers.get("x-mood"), "good");
    EXPECT_EQ(response.headers.get_all("set-cookie").size(), 2u);
    EXPECT_GT(response.elapsed, Duration::zero());
    response.raise_for_status();
  });
}

/// What the server has got, as text.
HttpServer::Script echo() {
  return [](const HttpRequest& request, Socket& peer) {
    const bool is_head = request.method == "HEAD";
    std::string answer = http_answer(request.head + "\r\n" + request.body);
    if (is_head) answer.resize(answer.find("\r\n\r\n") + 4);
    peer.send_all(answer);
    return true;
  };
}

TEST_P(HttpTest, MethodsSendWhatTheyAreGiven) {
  HttpServer server{echo()};
  const std::string url = server.url("/x");
  in_world([&](World&) {
    const auto begins = [](const std::string& text, const std::string& line) { return text.starts_with(line + " /x HTTP/1.1\r\n"); };
    const auto ends = [](const std::string& text, const std::string& body) { return text.ends_with("\r\n\r\n" + body); };
    const std::string get = http::get(url).text();
    EXPECT_TRUE(begins(get, "GET") && ends(get, "")) << get;
    EXPECT_EQ(get.find("Content-Length"), std::string::npos);
    const std::string post = http::post(url, "some body").text();
    EXPECT_TRUE(begins(post, "POST") && ends(post, "some body")) << post;
    EXPECT_EQ(post.find("Content-Type"), std::string::npos) << "nobody knows what it is";
    const std::string empty_post = http::post(url, "").text();
    EXPECT_TRUE(begins(empty_post, "POST") && ends(empty_post, "")) << empty_post;
    EXPECT_NE(empty_post.find("\r\nContent-Length: 0\r\n"), std::string::npos) << empty_post;
    const std::string put = http::put(url, "p").text();
    EXPECT_TRUE(begins(put, "PUT") && ends(put, "p")) << put;
    const std::string patch = http::patch(url, std::string("a\0b", 3)).text();
    EXPECT_TRUE(begins(patch, "PATCH") && ends(patch, std::string("a\0b", 3))) << patch;
    const std::string gone = http::delete_(url).text();
    EXPECT_TRUE(begins(gone, "DELETE") && ends(gone, "")) << gone;
    const std::string own = http::request("purge", url, {.body = "b"}).text();
    EXPECT_TRUE(begins(own, "PURGE") && ends(own, "b")) << own;
    const std::string get_with_body = http::get(url, {.body = "odd"}).text();
    EXPECT_TRUE(begins(get_with_body, "GET") && ends(get_with_body, "odd")) << get_with_body;
    const http::Response head = http::head(url);
    EXPECT_EQ(head.status_code, 200);
    EXPECT_EQ(head.content, "");
    EXPECT_NE(head.headers.get("Content-Length"), "0");
  });
}

TEST_P(HttpTest, LongBodiesGoOutWhole) {
  HttpServer server{[](const HttpRequest& request, Socket& peer) {
    EXPECT_EQ(request.head.find("Expect"), std::string::npos);
    peer.send_all(http_answer(std::to_string(request.body.size())));
    return true;
  }};
  in_world([&](World&) { EXPECT_EQ(http::post(server.url(), std::string(5'000'000, 'x')).text(), "5000000"); });
}

TEST_P(HttpTest, HeadersGoOutAsTheyAreGiven) {
  HttpServer server{[](const HttpRequest& request, Socket& peer) {
    EXPECT_TRUE(request.has_line("X-Twice: 1")) << request.head;
    EXPECT_TRUE(request.has_line("X-Twice: 2")) << request.head;
    EXPECT_TRUE(request.has_line("X-Empty:")) << request.head;
    EXPECT_TRUE(request.has_line("User-Agent: somebody")) << request.head;
    EXPECT_TRUE(request.has_line("Content-Type: text/plain")) << request.head;
    EXPECT_TRUE(request.has_line("Authorization: Basic dXNlcjpzZWNyZXQ=")) << request.head;
    peer.send_all(http_answer(""));
    return true;
  }};
  in_world([&](World&) {
    http::RequestOptions options;
    options.headers = {{"X-Twice", "1"}, {"X-Twice", "2"}, {"X-Empty", ""}, {"user-agent", "somebody"}, {"Content-Type", "text/plain"}};
    options.headers.set("User-Agent", "somebody");
    const std::string port = std::to_string(server.port());
    const http::Response response = http::post("http://user:secret@127.0.0.1:" + port + "/", "x", std::move(options));
    EXPECT_EQ(response.url, server.url()) << "no secrets in it";
  });
}

TEST_P(HttpTest, BodiesOfEveryFramingAreRead) {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n7\r\n second\r\n0\r\nHTTP/9.9: trailer\r\nX-Late: 1\r\n\r\n";
  const std::string continued = "HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n" + http_answer("at last", "201 Created", "X-Late: 1\r\n");
  HttpServer server{[&](const HttpRequest& request, Socket& peer) {
    if (request.target == "/chunked") peer.send_all(chunked);
    if (request.target == "/continued") peer.send_all(continued);
    if (request.target == "/none") peer.send_all(std::string_view{"HTTP/1.1 204 No Content\r\n\r\n"});
    if (request.target != "/unframed") return true;
    peer.send_all(std::string_view{"HTTP/1.0 200 OK\r\n\r\nuntil the end"});
    return false;
  }};
  in_world([&](World&) {
    const http::Response response = http::get(server.url("/chunked"));
    EXPECT_EQ(response.text(), "first second");
    EXPECT_EQ(response.status_code, 200);
    EXPECT_FALSE(response.headers.contains("X-Late")) << "trailers are passed over";
    EXPECT_EQ(http::get(server.url("/unframed")).text(), "until the end");
    EXPECT_EQ(http::get(server.url("/none")).text(), "");
    const http::Response after = http::get(server.url("/continued"));
    EXPECT_EQ(after.status_code, 201);
    EXPECT_EQ(after.text(), "at last");
    EXPECT_TRUE(after.headers.contains("X-Late"));
    EXPECT_FALSE(after.headers.contains("X-Early")) << "of the interim answer";
  });
}

TEST_P(HttpTest, CompressedBodiesAreDecompressed) {
  // "small again, " twenty times over.
  static constexpr char kGzip[] =
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x2b\xce\x4d\xcc\xc9\x51\x48\x4c\x4f\xcc\xcc\xd3\x51\x28"
      "\x1e\x99\x1c\x00\x97\xbe\xbd\x4d\x04\x01\x00\x00";
  HttpServer server{[](const HttpRequest& request, Socket& peer) {
    EXPECT_NE(request.head.find("gzip"), std::string::npos) << request.head;
    peer.send_all(http_answer({kGzip, sizeof kGzip - 1}, "200 OK", "Content-Encoding: gzip\r\n"));
    return true;
  }};
  in_world([&](World&) {
    const std::string text = http::get(server.url()).text();
    EXPECT_EQ(text.size(), 260u);
    EXPECT_TRUE(text.ends_with("small again, small again, "));
    EXPECT_THROW((void)http::get(server.url(), {.max_size_bytes = 200}), http::ResponseTooLarge) << "of what comes out";
  });
}

TEST_P(HttpTest, AnErrorStatusIsAnAnswer) {
  HttpServer server{[](const HttpRequest& request, Socket& peer) {
    peer.send_all(http_answer("sorry", request.target == "/gone" ? "404 Not Found" : "500 Oops", "X-Why: because\r\n"));
    return true;
  }};
  in_world([&](World&) {
    const http::Response response = http::get(server.url("/gone"));
    EXPECT_EQ(response.status_code, 404);
    EXPECT_FALSE(response.ok());
    EXPECT_EQ(response.text(), "sorry");
    try {
      response.raise_for_status();
      ADD_FAILURE();
    } catch (const http::HTTPStatusError& error) {
      EXPECT_EQ(error.status_code(), 404);
      EXPECT_EQ(error.response().headers.get("X-Why"), "because");
      EXPECT_EQ(error.what(), "404 Not Found: " + server.url("/gone"));
    }
    EXPECT_EQ(message_of<http::HTTPStatusError>([&] { http::get(server.url()).raise_for_status(); }), "500 Oops: " + server.url());
  });
}

TEST_P(HttpTest, ASessionAddsWhatItsRequestsLeaveOpen) {
  HttpServer server{echo()};
  in_world([&](World&) {
    const http::Session session{.headers = {{"X-A", "session"}, {"X-B", "1"}, {"X-B", "2"}}, .timeout = kPatience, .max_size_bytes = 1000};
    const std::string got = session.get(server.url(), {.headers = {{"x-a", "request"}}}).text();
    EXPECT_NE(got.find("\r\nx-a: request\r\n"), std::string::npos) << got;
    EXPECT_EQ(got.find("session"), std::string::npos) << got;
    EXPECT_NE(got.find("\r\nX-B: 1\r\nX-B: 2\r\n"), std::string::npos) << got;
    EXPECT_EQ(session.post(server.url(), "b", {.headers = {{"X-B", "3"}}}).text().find("X-B: 1"), std::string::npos);
    EXPECT_THROW((void)session.post(server.url(), std::string(2000, 'x')), http::ResponseTooLarge);
  });
  HttpServer silent{and_then_silence()};
  in_world([&](World&) {
    const http::Session hasty{.timeout = 20ms};
    EXPECT_THROW((void)hasty.get(silent.url()), TimeoutError);
    EXPECT_THROW((void)http::Session{.timeout = kPatience}.get(silent.url(), {.timeout = 20ms}), TimeoutError);
  });
}

TEST_P(HttpTest, AProxyIsAskedForTheWholeUrl) {
  HttpServer proxy{[](const HttpRequest& request, Socket& peer) {
    peer.send_all(http_answer(request.target));
    return true;
  }};
  in_world([&](World&) {
    EXPECT_EQ(http::get("http://nowhere.invalid/x", {.proxy = proxy.url()}).text(), "http://nowhere.invalid/x");
    EXPECT_EQ(http::get(proxy.url("/direct"), {.proxy = ""}).text(), "/direct");
  });
}

TEST_P(HttpTest, TwoHundredRequestsRunAtOnce) {
  constexpr int kMany = 200;
  std::atomic<int> waiting{0};
  // Nobody is answered before all have asked.
  Event all_here;
  HttpServer server{[&](const HttpRequest& request, Socket& peer) {
    if (++waiting == kMany) all_here.set();
    all_here.wait();
    peer.send_all(http_answer("you are " + request.target));
    return true;
  }};
  in_world([&](World& world) {
    waiting = 0;
    all_here.clear();
    std::vector<Runner> runners = world.spawn_many(kMany, [&](int i) {
      const std::string path = '/' + std::to_string(i);
      EXPECT_EQ(http::get(server.url(path), {.timeout = kPatience}).text(), "you are " + path);
    });
    join_all(runners);
  });
}

// ---- redirects -------------------------------------------------------------------------------------------------------

std::string moved(const std::string& status, const std::string& to) {
  return http_answer("look elsewhere", status, "Location: " + to + "\r\n");
}

TEST_P(HttpTest, RedirectsAreFollowedToTheirEnd) {
  HttpServer server{[&](const HttpRequest& request, Socket& peer) {
    if (request.target == "/a/one") peer.send_all(moved("302 Found", "two"));
    if (request.target == "/a/two") peer.send_all(moved("301 Moved", "/three?x=1"));
    if (request.target == "/three?x=1") peer.send_all(http_answer("here"));
    if (request.target == "/round") peer.send_all(moved("307 Round", "/round"));
    if (request.target == "/odd") peer.send_all(moved("302 Found", "ftp://127.0.0.1/"));
    if (request.target == "/spaces") peer.send_all(moved("302 Found", "/a b"));
    if (request.target == "/a%20b") peer.send_all(http_answer("escaped"));
    if (request.target == "/no-place") peer.send_all(http_answer("302 without a place", "302 Found"));
    return true;
  }};
  in_world([&](World&) {
    const http::Response response = http::get(server.url("/a/one"));
    EXPECT_EQ(response.text(), "here");
    EXPECT_EQ(response.url, server.url("/three?x=1"));
    EXPECT_EQ(http::get(server.url("/spaces")).text(), "escaped");
    const http::Response first = http::get(server.url("/a/one"), {.allow_redirects = false});
    EXPECT_EQ(first.status_code, 302);
    EXPECT_EQ(first.text(), "look elsewhere");
    EXPECT_EQ(first.headers.get("Location"), "two");
    EXPECT_EQ(http::get(server.url("/no-place")).text(), "302 without a place");
    EXPECT_EQ(message_of<http::TooManyRedirects>([&] { (void)http::get(server.url("/round"), {.max_redirects = 3}); }),
              "GET " + server.url("/round") + ": redirected 3 times, and again");
    EXPECT_EQ(message_of<http::InvalidURL>([&] { (void)http::get(server.url("/odd")); }),
              "URL \"ftp://127.0.0.1/\": the scheme is ftp; it has to be http or https");
  });
}

TEST_P(HttpTest, RedirectsChangeTheMethodAsBrowsersDo) {
  HttpServer server{[&](const HttpRequest& request, Socket& peer) {
    if (request.target == "/end") {
      const bool typed = request.head.find("Content-Type") != std::string::npos;
      peer.send_all(http_answer(request.method == "HEAD" ? "" : request.method + ' ' + request.body + (typed ? " typed" : "")));
    } else {
      peer.send_all(request.method == "HEAD" ? "HTTP/1.1 303 See\r\nContent-Length: 0\r\nLocation: /end\r\n\r\n"
                                             : moved(request.target.substr(1) + " Moved", "/end"));
    }
    return true;
  }};
  in_world([&](World&) {
    const auto ends_as = [&](const std::string& method, const std::string& status) {
      return http::request(method, server.url('/' + status), {.headers = {{"Content-Type", "text/plain"}}, .body = "body"}).text();
    };
    for (const char* status : {"301", "302", "303"}) EXPECT_EQ(ends_as("POST", status), "GET ") << status;
    for (const char* status : {"307", "308"}) EXPECT_EQ(ends_as("POST", status), "POST body typed") << status;
    EXPECT_EQ(ends_as("PUT", "301"), "PUT body typed");
    EXPECT_EQ(ends_as("PUT", "303"), "GET ");
    EXPECT_EQ(ends_as("DELETE", "308"), "DELETE body typed");
    EXPECT_EQ(http::request("HEAD", server.url("/303")).status_code, 200);
    EXPECT_EQ(http::head(server.url("/303")).status_code, 303);
  });
}

TEST_P(HttpTest, SecretsDoNotFollowARedirectToAnotherServer) {
  const auto tell = [](const HttpRequest& request) {
    return http_answer(request.has_line("Authorization: key") && request.has_line("cookie: c") ? "trusted" : "stranger");
  };
  HttpServer other{[&](const HttpRequest& request, Socket& peer) {
    EXPECT_TRUE(request.has_line("X-Other: o"));
    peer.send_all(tell(request));
    return true;
  }};
  HttpServer server{[&](const HttpRequest& request, Socket& peer) {
    if (request.target == "/here") peer.send_all(moved("302 Found", "/end"));
    if (request.target == "/there") peer.send_all(moved("302 Found", other.url("/end")));
    if (request.target == "/end") peer.send_all(tell(request));
    return true;
  }};
  in_world([&](World&) {
    const http::Session session{.headers = {{"Authorization", "key"}, {"cookie", "c"}, {"X-Other", "o"}}};
    EXPECT_EQ(session.get(server.url("/here")).text(), "trusted");
    EXPECT_EQ(session.get(server.url("/there")).text(), "stranger");
  });
}

}  // namespace
}  // namespace weft::test
