// The base protocol, as scripts in other languages speak it: against the built program.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include "app/fixture.hpp"

namespace weft::app::test {
namespace {

namespace fs = std::filesystem;

std::string file_head(const std::string& name) {
  return R"({"msg_type":"file","file_name":")" + name + "\"}";
}

void send_file(RawClient& client, const std::string& name, const std::string& body) {
  client.send_frame(file_head(name));
  client.send_frame(body);  // a length and the bytes, like a frame
}

class Plain : public ::testing::Test {
 protected:
  ServerProcess server;
  RawClient client{server.port()};

  bool arrives(const std::string& name, const std::string& body) {
    return eventually([&] { return fs::exists(server.file(name)) && read_file(server.file(name)) == body; });
  }
  bool prints(const std::string& text) {
    return eventually([&] { return server.process().out().find(text) != std::string::npos; });
  }
  // After something bad: this connection is over, the server is not, and nothing was stored.
  void expect_only_the_connection_ended() {
    EXPECT_TRUE(client.sees_the_end());
    EXPECT_EQ(files_in(server.folder()), std::vector<std::string>());
    RawClient next(server.port());
    next.send_frame(R"({"msg_type":"msg"})");
    next.send_frame("still there");
    EXPECT_TRUE(prints("still there"));
  }
};

TEST_F(Plain, MessagesArePrintedAndFilesStored) {
  client.send_frame(R"({"msg_type":"msg"})");
  client.send_frame("hello, server");
  send_file(client, "a.bin", noise(5000));
  client.send_frame(R"({"msg_type":"msg"})");
  client.send_frame("");
  send_file(client, "b/c.bin", noise(3'000'000, 2));
  client.send_frame("close");
  EXPECT_TRUE(client.sees_the_end());
  EXPECT_TRUE(prints("] hello, server\n"));
  EXPECT_TRUE(same_bytes(read_file(server.file("a.bin")), noise(5000)));
  EXPECT_TRUE(same_bytes(read_file(server.file("b/c.bin")), noise(3'000'000, 2)));
  EXPECT_EQ(server.stop(), 0);
}

TEST_F(Plain, MessagesMayComeInAnyPieces) {
  std::string all;
  const auto add = [&](std::string_view bytes) {
    const auto length = static_cast<std::uint32_t>(bytes.size());
    all.append(reinterpret_cast<const char*>(&length), 4);
    all += bytes;
  };
  add(file_head("slow"));
  add("bytes");
  add("close");
  for (const char byte : all) {
    client.send({&byte, 1});
    if (byte == '"') short_pause();
  }
  EXPECT_TRUE(client.sees_the_end());
  EXPECT_EQ(read_file(server.file("slow")), "bytes");
}

TEST_F(Plain, EndOfStreamEndsTheConversationToo) {
  send_file(client, "f", "x");
  client.shutdown_write();
  EXPECT_TRUE(client.sees_the_end());
  EXPECT_EQ(read_file(server.file("f")), "x");
}

TEST_F(Plain, EmptyFilesAndTextsAreFine) {
  send_file(client, "empty", "");
  EXPECT_TRUE(arrives("empty", ""));
}

TEST_F(Plain, CloseIsAWordOnlyWhereAControlFrameIsDue) {
  client.send_frame(R"({"msg_type":"msg"})");
  client.send_frame("close");
  send_file(client, "close", "close");
  EXPECT_TRUE(arrives("close", "close"));
  EXPECT_TRUE(prints("] close\n"));
}

TEST_F(Plain, TakenNamesGetNumbers) {
  send_file(client, "f", "one");
  send_file(client, "f", "two");
  send_file(client, "f", noise(2'000'000));
  EXPECT_TRUE(arrives("f.2", noise(2'000'000)));
  EXPECT_EQ(read_file(server.file("f")), "one");
  EXPECT_EQ(read_file(server.file("f.1")), "two");
}

TEST_F(Plain, SameNameFromTwoAtOnceKeepsBoth) {
  RawClient other(server.port());
  const std::string first = noise(2'500'000, 1);
  const std::string second = noise(2'500'000, 2);
  client.send_frame(file_head("same"));
  other.send_frame(file_head("same"));
  client.send_length(static_cast<std::int32_t>(first.size()));
  other.send_length(static_cast<std::int32_t>(second.size()));
  for (std::size_t at = 0; at < first.size(); at += 100'000) {
    client.send(std::string_view(first).substr(at, 100'000));
    other.send(std::string_view(second).substr(at, 100'000));
  }
  ASSERT_TRUE(eventually([&] { return files_in(server.folder()).size() == 2; }));
  const std::string a = read_file(server.file("same"));
  const std::string b = read_file(server.file("same.1"));
  EXPECT_TRUE((a == first && b == second) || (a == second && b == first));
}

TEST_F(Plain, ControlCharactersArePrintedHarmlessly) {
  client.send_frame(R"({"msg_type":"msg"})");
  client.send_frame("a\x1b[2Jb\nc");
  EXPECT_TRUE(prints("] a\\x1b[2Jb\\nc\n"));
}

TEST_F(Plain, InterruptedFilesAreDiscarded) {
  for (const int size : {100, 5'000'000}) {
    RawClient cut(server.port());
    cut.send_frame(file_head("cut"));
    cut.send_length(size);
    cut.send(noise(static_cast<std::size_t>(size / 2)));
    cut.shutdown_write();
    EXPECT_TRUE(cut.sees_the_end());
  }
  EXPECT_EQ(files_in(server.folder()), std::vector<std::string>());
  EXPECT_TRUE(fs::is_empty(server.file(".weft-part")));
}

TEST_F(Plain, NegativeLengthDisconnects) {
  client.send_length(-1);
  expect_only_the_connection_ended();
}

TEST_F(Plain, NegativeLengthOfAFileDisconnects) {
  client.send_frame(file_head("f"));
  client.send_length(-5);
  expect_only_the_connection_ended();
}

TEST_F(Plain, HugeLengthDisconnects) {
  client.send_length(0x7fffffff);
  expect_only_the_connection_ended();
}

TEST_F(Plain, WhatIsNoJsonDisconnects) {
  client.send_frame("{nonsense");
  expect_only_the_connection_ended();
}

TEST_F(Plain, JsonThatIsNoObjectDisconnects) {
  client.send_frame("[1,2,3]");
  expect_only_the_connection_ended();
}

TEST_F(Plain, EmptyControlFrameDisconnects) {
  client.send_frame("");
  expect_only_the_connection_ended();
}

TEST_F(Plain, UnknownTypeDisconnects) {
  client.send_frame(R"({"msg_type":"dance"})");
  expect_only_the_connection_ended();
}

TEST_F(Plain, MissingNameDisconnects) {
  client.send_frame(R"({"msg_type":"file"})");
  expect_only_the_connection_ended();
}

TEST_F(Plain, WrongTypesDisconnect) {
  client.send_frame(R"({"msg_type":"file","file_name":{"a":1}})");
  expect_only_the_connection_ended();
}

class PlainBadName : public ::testing::TestWithParam<std::string> {};

TEST_P(PlainBadName, DisconnectsAndStoresNothing) {
  TempFolder parent;
  ServerProcess server({}, parent / "root");
  RawClient client(server.port());
  client.send_frame(R"({"msg_type":"file","file_name":")" + GetParam() + "\"}");
  client.send_frame("body");
  EXPECT_TRUE(client.sees_the_end());
  EXPECT_EQ(files_in(parent.path()), std::vector<std::string>());
  EXPECT_FALSE(fs::exists("/tmp/weft-absolute"));
}

INSTANTIATE_TEST_SUITE_P(Names, PlainBadName,
                         ::testing::Values("../up", "a/../../up", "/tmp/weft-absolute", "", ".", "..", "a//b",
                                           "a/", "nul\\u0000byte", std::string(300, 'x'), "not\xff utf8",
                                           "\\ud800", ".weft-part/x"));

TEST_F(Plain, LengthWithoutBytesCostsOneFiberAndOnlyForAWhile) {
  ServerProcess impatient({"--header-timeout", "300ms"});
  RawClient silent(impatient.port());
  RawClient half(impatient.port());
  half.send_length(100);
  half.send("{");
  RawClient good(impatient.port());
  send_file(good, "f", "x");
  EXPECT_TRUE(eventually([&] { return fs::exists(impatient.file("f")); }));
  EXPECT_TRUE(silent.sees_the_end());
  EXPECT_TRUE(half.sees_the_end());
}

TEST_F(Plain, SplicedPipesAndLinksInTheRootAreSafe) {
  TempFolder outside;
  fs::create_symlink(outside.path(), server.file("link"));
  ASSERT_EQ(::mkfifo(server.file("pipe").c_str(), 0600), 0);
  send_file(client, "pipe", "x");
  EXPECT_TRUE(arrives("pipe.1", "x"));
  send_file(client, "link/f", "x");
  EXPECT_TRUE(client.sees_the_end());
  EXPECT_TRUE(fs::is_empty(outside.path()));
}

TEST_F(Plain, IsRefusedWhenTokensAreSet) {
  TempFolder folder;
  write_file(folder / "token", "secret\n");
  ServerProcess guarded({"--write-token-file", folder / "token"});
  RawClient stranger(guarded.port());
  send_file(stranger, "f", "x");
  EXPECT_TRUE(stranger.sees_the_end());
  EXPECT_EQ(files_in(guarded.folder()), std::vector<std::string>());
}

TEST_F(Plain, ManyIdleConnectionsDelayNobody) {
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int i = 0; i < 100; ++i) {
    idle.push_back(std::make_unique<RawClient>(server.port()));
    if (i % 2) idle.back()->send_length(50);
    if (i % 3 == 0) {
      idle.back()->send_frame(file_head("never" + std::to_string(i)));
      idle.back()->send_length(1 << 30);
      idle.back()->send("some");
    }
  }
  send_file(client, "f", "x");
  EXPECT_TRUE(arrives("f", "x"));
}

// ---- scripts in Python, and weft send --plain

TEST_F(Plain, TenLinesOfPythonUpload) {
  TempFolder folder;
  write_file(folder / "data.bin", noise(100'000));
  const Result result = run(
      python("upload.py", {"127.0.0.1", std::to_string(server.port()), folder / "data.bin", "from python"}));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(arrives("data.bin", noise(100'000)));
  EXPECT_TRUE(prints("] from python\n"));
}

TEST(PlainSend, UploadsToThirtyLinesOfPython) {
  TempFolder folder;
  Process::Options options;
  options.folder = folder.path().string();
  Process server(python("server.py", {"0"}), options);
  ASSERT_TRUE(eventually([&] { return server.out().find('\n') != std::string::npos; }));
  const std::string address = "127.0.0.1:" + std::to_string(std::atoi(server.out().c_str()));
  TempFolder files;
  write_file(files / "a.bin", noise(300'000));
  write_file(files / "empty", "");
  write_file(files / "big.bin", noise(20'000'000, 3));
  const Result result =
      run(weft({"send", "--plain", files / "a.bin", files / "empty", files / "big.bin", address}));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(server.wait(), 0) << server.err();
  EXPECT_TRUE(same_bytes(read_file(folder / "a.bin"), noise(300'000)));
  EXPECT_EQ(read_file(folder / "empty"), "");
  EXPECT_TRUE(same_bytes(read_file(folder / "big.bin"), noise(20'000'000, 3)));
}

TEST_F(Plain, SendPlainSpeaksToServeToo) {
  TempFolder files;
  write_file(files / "d/a", "one");
  write_file(files / "d/e/b", "two");
  const Result result = run(weft({"send", "--plain", files / "d", server.address()}));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(arrives("d/a", "one"));
  EXPECT_TRUE(arrives("d/e/b", "two"));
}

TEST_F(Plain, FilesOfTwoGibibytesAreRefusedBeforeTheyBegin) {
  TempFolder files;
  write_file(files / "huge", "");
  fs::resize_file(files / "huge", 1ull << 31);  // sparse
  write_file(files / "small", "x");
  const Result result = run(weft({"send", "--plain", files / "huge", files / "small", server.address()}));
  EXPECT_EQ(result.code, 1);
  EXPECT_NE(result.err.find("2 GiB"), std::string::npos) << result.err;
  EXPECT_TRUE(arrives("small", "x"));
  EXPECT_FALSE(fs::exists(server.file("huge")));
}

}  // namespace
}  // namespace weft::app::test
