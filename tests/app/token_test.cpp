// Who may do what: tokens for reading and writing.
#include <gtest/gtest.h>

#include "app/fixture.hpp"

namespace weft::app::test {
namespace {

namespace fs = std::filesystem;

class Tokens : public ::testing::Test {
 protected:
  TempFolder folder;

  void SetUp() override {
    write_file(folder / "read", "reading-secret\n");
    write_file(folder / "write", "writing-secret\n");
    write_file(folder / "f", "x");
    write_file(folder / "big", noise(3'000'000));
  }
  Result run_with(const std::string& token, std::vector<std::string> arguments) {
    Process::Options options;
    if (!token.empty()) options.environment = {"WEFT_TOKEN=" + token};
    return run(weft(std::move(arguments)), options);
  }
};

TEST_F(Tokens, ReadingAndWritingAreSeparateRights) {
  ServerProcess server({"--read-token-file", folder / "read", "--write-token-file", folder / "write"});
  write_file(server.file("there"), "x");
  const std::vector<std::string> send = {"send", folder / "f", folder / "big", server.address()};
  const std::vector<std::string> get = {"get", server.at("there"), folder / "got"};
  const std::vector<std::string> list = {"ls", server.address()};
  for (const std::string wrong : {"", "wrong", "reading-secre", "reading-secret2"}) {
    EXPECT_EQ(run_with(wrong, send).code, 4) << wrong;
    EXPECT_EQ(run_with(wrong, get).code, 4) << wrong;
    EXPECT_EQ(run_with(wrong, list).code, 4) << wrong;
  }
  EXPECT_EQ(run_with("reading-secret", send).code, 4);
  EXPECT_EQ(run_with("writing-secret", get).code, 4);
  EXPECT_EQ(run_with("writing-secret", list).code, 4);
  EXPECT_FALSE(fs::exists(server.file("f")));
  EXPECT_FALSE(fs::exists(folder / "got"));
  EXPECT_EQ(run_with("reading-secret", get).code, 0);
  EXPECT_EQ(run_with("writing-secret", send).code, 0);
  EXPECT_TRUE(same_bytes(read_file(server.file("big")), noise(3'000'000)));
}

TEST_F(Tokens, RightWithoutATokenIsNobodys) {
  ServerProcess server({"--write-token-file", folder / "write"});
  write_file(server.file("there"), "x");
  EXPECT_EQ(run_with("", {"ls", server.address()}).code, 4);
  EXPECT_EQ(run_with("writing-secret", {"ls", server.address()}).code, 4);
  EXPECT_EQ(run_with("writing-secret", {"send", folder / "f", server.address()}).code, 0);
  // Repeating it must still find out that the file is the same.
  EXPECT_EQ(run_with("writing-secret", {"send", folder / "f", server.address()}).code, 0);
}

TEST_F(Tokens, ComeFromFilesToo) {
  ServerProcess server({"--read-token-file", folder / "read"});
  EXPECT_EQ(run(weft({"ls", "--token-file", folder / "read", server.address()})).code, 0);
  EXPECT_EQ(run(weft({"ls", "--token-file", folder / "missing", server.address()})).code, 2);
}

TEST_F(Tokens, AreNeverLogged) {
  ServerProcess server({"--read-token-file", folder / "read"});
  (void)run_with("some-guess", {"ls", server.address()});
  EXPECT_EQ(server.stop(), 0);
  EXPECT_NE(server.process().err().find("wrong token"), std::string::npos);
  EXPECT_EQ(server.process().err().find("secret"), std::string::npos);
  EXPECT_EQ(server.process().err().find("some-guess"), std::string::npos);
}

TEST_F(Tokens, RequestsBeyondTheRightsAreAnsweredNotObeyed) {
  ServerProcess server({"--read-token-file", folder / "read", "--write-token-file", folder / "write"});
  RawClient client(server.port());
  client.send_frame(R"({"msg_type":"hello","version":1,"token":"reading-secret"})");
  ASSERT_TRUE(client.recv_frame());
  client.send_frame(R"({"msg_type":"put","id":5,"name":"x","size":0,"eager":true,"checks":false})");
  const auto answer = client.recv_frame();
  ASSERT_TRUE(answer);
  EXPECT_NE(answer->find("denied"), std::string::npos);
  client.send_frame(R"({"msg_type":"list","id":6})");
  EXPECT_TRUE(client.recv_frame());
  EXPECT_FALSE(fs::exists(server.file("x")));
}

}  // namespace
}  // namespace weft::app::test
