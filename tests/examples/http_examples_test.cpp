// The examples of the HTTP client print what their texts say.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <regex>
#include <string>

#include "support/http_server.hpp"
#include "support/paths.hpp"

namespace weft::test {
namespace {

class HttpExamples : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(path_)) GTEST_SKIP() << "built without weft::http";
    use_no_proxy();
  }

  /// With names of threads as "NAME".
  [[nodiscard]] std::string output_of(const std::string& arguments = "") const {
    const std::string command = "timeout 60 " + path_ + ' ' + arguments + " 2>&1";
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe{::popen(command.c_str(), "r"), &::pclose};
    std::string output;
    char buffer[4096];
    while (const std::size_t size = std::fread(buffer, 1, sizeof buffer, pipe.get())) output.append(buffer, size);
    return std::regex_replace(output, std::regex{"[^ \n]+ asks"}, "NAME asks");
  }

 private:
  const std::string path_ = build_dir() + "/examples/concurrent_fetch";
};

TEST_F(HttpExamples, ConcurrentFetch) {
  EXPECT_EQ(output_of(),
            "NAME asks for /slow\n"
            "NAME asks for /quick\n"
            "NAME asks for /missing\n"
            "NAME asks for /unreachable\n"
            "/quick: 18 bytes\n"
            "/missing: the server says 404 Not Found\n"
            "/unreachable: not reached: cannot connect: Connection refused\n"
            "/slow: not there yet, and nobody minds\n"
            "/slow: 18 bytes\n");
}

TEST_F(HttpExamples, ConcurrentFetchOfUrls) {
  HttpServer server{[](const HttpRequest& request, Socket& peer) {
    peer.send_all(http_answer("you want " + request.target));
    return true;
  }};
  EXPECT_EQ(output_of(server.url("/a") + ' ' + server.url("/bc")),
            "NAME asks for /a\n"
            "NAME asks for /bc\n" +
                server.url("/a") + ": 11 bytes\n" + server.url("/bc") + ": 12 bytes\n");
}

}  // namespace
}  // namespace weft::test
