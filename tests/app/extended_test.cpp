// The extended protocol, spoken by hand: what a client of another kind, or of bad intent, may say.
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "app/fixture.hpp"
#include "base/hashing.hpp"
#include "proto/chunk.hpp"
#include "proto/messages.hpp"

namespace weft::app::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Extended : public ::testing::Test {
 protected:
  ServerProcess server;
  RawClient client{server.port()};

  void SetUp() override { greet(client); }
  static void greet(RawClient& to) {
    to.send_frame(R"({"msg_type":"hello","version":1})");
    EXPECT_EQ(answer(to)["msg_type"], "hello");
  }
  static json answer(RawClient& from) {
    const std::optional<std::string> frame = from.recv_frame();
    return frame ? json::parse(*frame) : json{{"msg_type", "hung up"}};
  }
  json answer() { return answer(client); }
  json ask(const json& request) {
    client.send_frame(request.dump());
    return answer();
  }
  static void send_chunk(RawClient& to, std::string_view bytes, std::uint64_t sum) {
    const ChunkHeaderBytes header = pack_chunk_header({static_cast<std::int32_t>(bytes.size()), sum});
    to.send({reinterpret_cast<const char*>(header.data()), header.size()});
    to.send(bytes);
  }
  json put_of(const std::string& name, const std::string& body, bool eager) {
    json put = {{"msg_type", "put"}, {"id", 1}, {"name", name}, {"size", body.size()}, {"eager", eager}};
    if (eager) put["sha256"] = Sha256::hex_of(body);
    return put;
  }
  json send_eager(const std::string& name, const std::string& body) {
    client.send_frame(put_of(name, body, true).dump());
    if (!body.empty()) send_chunk(client, body, xxh3(body));
    return answer();
  }
  // The connection has survived when it still does what it is for.
  void expect_alive() { EXPECT_EQ(send_eager("alive" + std::to_string(++alive_), "x")["msg_type"], "done"); }

  const std::string big = noise(3'000'000);
  int alive_ = 0;
};

TEST_F(Extended, NamesThatAreNotAllowedAreAnsweredAndTheConnectionSurvives) {
  const std::vector<std::pair<std::string, std::string>> bad = {{"../x", "bad_name"},
                                                                {"/x", "bad_name"},
                                                                {"", "bad_name"},
                                                                {".", "bad_name"},
                                                                {"a//b", "bad_name"},
                                                                {std::string("a\0b", 3), "bad_name"},
                                                                {".weft-part/x", "bad_name"},
                                                                {std::string(300, 'x'), "name_too_long"}};
  for (const auto& [name, code] : bad) {
    const json eager = send_eager(name, "body");
    EXPECT_EQ(eager["code"], code) << name;
    EXPECT_EQ(eager["id"], 1);
    EXPECT_EQ(ask(put_of(name, big, false))["code"], code) << name;
    EXPECT_EQ(ask({{"msg_type", "get"}, {"id", 1}, {"name", name}})["code"], code) << name;
    EXPECT_EQ(ask({{"msg_type", "mkdir"}, {"id", 1}, {"name", name}})["code"], code) << name;
    if (!name.empty()) {
      EXPECT_EQ(ask({{"msg_type", "list"}, {"id", 1}, {"name", name}})["code"], code) << name;
    }
  }
  expect_alive();
}

TEST_F(Extended, DamagedChunksAreNoticedAndNothingIsStored) {
  client.send_frame(put_of("f", "body", true).dump());
  send_chunk(client, "bodY", xxh3(std::string_view("body")));
  EXPECT_EQ(answer()["code"], "corrupt");

  EXPECT_EQ(ask(put_of("big", big, false))["msg_type"], "ready");
  client.send_frame(R"({"msg_type":"go","id":1,"offset":0})");
  send_chunk(client, std::string_view(big).substr(0, kChunkBytes), 1);
  for (std::size_t at = kChunkBytes; at < big.size(); at += kChunkBytes) {
    const std::string_view chunk = std::string_view(big).substr(at, kChunkBytes);
    send_chunk(client, chunk, xxh3(chunk));
  }
  client.send_frame(json{{"msg_type", "end"}, {"id", 1}, {"sha256", Sha256::hex_of(big)}}.dump());
  EXPECT_EQ(answer()["code"], "corrupt");
  expect_alive();
  EXPECT_FALSE(fs::exists(server.file("f")));
  EXPECT_FALSE(fs::exists(server.file("big")));
}

TEST_F(Extended, WrongDigestOfTheWholeStoresNothing) {
  EXPECT_EQ(ask(put_of("big", big, false))["msg_type"], "ready");
  client.send_frame(R"({"msg_type":"go","id":1,"offset":0})");
  for (std::size_t at = 0; at < big.size(); at += kChunkBytes) {
    const std::string_view chunk = std::string_view(big).substr(at, kChunkBytes);
    send_chunk(client, chunk, xxh3(chunk));
  }
  client.send_frame(json{{"msg_type", "end"}, {"id", 1}, {"sha256", std::string(64, '0')}}.dump());
  EXPECT_EQ(answer()["code"], "corrupt");
  expect_alive();
  EXPECT_FALSE(fs::exists(server.file("big")));
  EXPECT_TRUE(fs::is_empty(server.file(".weft-part")));
}

TEST_F(Extended, GivenUpUploadsCanBeResumed) {
  EXPECT_EQ(ask(put_of("big", big, false))["offset"], 0);
  client.send_frame(R"({"msg_type":"go","id":1,"offset":0})");
  const std::string_view first = std::string_view(big).substr(0, kChunkBytes);
  send_chunk(client, first, xxh3(first));
  const ChunkHeaderBytes abort = pack_chunk_header({kAbortedChunk, 0});
  client.send({reinterpret_cast<const char*>(abort.data()), abort.size()});
  EXPECT_EQ(answer()["code"], "aborted");
  const json ready = ask(put_of("big", big, false));
  EXPECT_EQ(ready["offset"], kChunkBytes);
  EXPECT_EQ(ready["prefix_sha256"], Sha256::hex_of(first));
}

TEST_F(Extended, NewcomerTakesOverFromAHalfOpenConnection) {
  EXPECT_EQ(ask(put_of("big", big, false))["offset"], 0);
  client.send_frame(R"({"msg_type":"go","id":1,"offset":0})");
  const std::string_view first = std::string_view(big).substr(0, kChunkBytes);
  send_chunk(client, first, xxh3(first));
  client.send("half a chunk head");  // and then silence, as after a cable was pulled
  const auto has_a_chunk = [&] {
    for (const auto& entry : fs::directory_iterator(server.file(".weft-part"))) {
      if (entry.path().extension() == ".sums" && entry.file_size() == sizeof(std::uint64_t)) return true;
    }
    return false;
  };
  ASSERT_TRUE(eventually(has_a_chunk));
  RawClient newcomer(server.port());
  greet(newcomer);
  newcomer.send_frame(put_of("big", big, false).dump());
  const json ready = answer(newcomer);
  EXPECT_EQ(ready["msg_type"], "ready");
  EXPECT_EQ(ready["offset"], kChunkBytes);
  newcomer.send_frame(json{{"msg_type", "go"}, {"id", 1}, {"offset", kChunkBytes}}.dump());
  for (std::size_t at = kChunkBytes; at < big.size(); at += kChunkBytes) {
    const std::string_view chunk = std::string_view(big).substr(at, kChunkBytes);
    send_chunk(newcomer, chunk, xxh3(chunk));
  }
  newcomer.send_frame(json{{"msg_type", "end"}, {"id", 1}, {"sha256", Sha256::hex_of(big)}}.dump());
  EXPECT_EQ(answer(newcomer)["msg_type"], "done");
  EXPECT_TRUE(same_bytes(read_file(server.file("big")), big));
  EXPECT_TRUE(client.sees_the_end());
}

TEST_F(Extended, SameNameFromTwoAtOnceIsOneWinner) {
  const std::string other_big = noise(3'000'000, 9);
  RawClient other(server.port());
  greet(other);
  json put = put_of("same", other_big, false);
  put["mtime_ns"] = 77;  // another upload
  other.send_frame(put.dump());
  EXPECT_EQ(answer(other)["msg_type"], "ready");
  EXPECT_EQ(ask(put_of("same", big, false))["msg_type"], "ready");
  const auto finish = [](RawClient& sender, const std::string& body) {
    sender.send_frame(R"({"msg_type":"go","id":1,"offset":0})");
    for (std::size_t at = 0; at < body.size(); at += kChunkBytes) {
      const std::string_view chunk = std::string_view(body).substr(at, kChunkBytes);
      send_chunk(sender, chunk, xxh3(chunk));
    }
    sender.send_frame(json{{"msg_type", "end"}, {"id", 1}, {"sha256", Sha256::hex_of(body)}}.dump());
    return answer(sender);
  };
  EXPECT_EQ(finish(other, other_big)["msg_type"], "done");
  EXPECT_EQ(finish(client, big)["code"], "exists");
  EXPECT_EQ(read_file(server.file("same")), other_big);
}

TEST_F(Extended, OffersThatCannotFitAreRefusedBeforeTheyBegin) {
  json put = put_of("huge", "", false);
  put["size"] = 1ull << 60;
  EXPECT_EQ(ask(put)["code"], "no_space");
  expect_alive();
}

TEST_F(Extended, WhatBreaksTheProtocolEndsTheConnectionWithAReason) {
  const std::vector<std::string> bad = {"{",
                                        "[]",
                                        R"({"msg_type":"dance","id":1})",
                                        R"({"msg_type":"put","id":1,"name":"a","size":-1})",
                                        R"({"msg_type":"put","id":"x","name":"a","size":1})",
                                        R"({"msg_type":"get","id":1})",
                                        R"({"msg_type":"go","id":1,"offset":0})",
                                        R"({"msg_type":"put","id":1,"name":"a","size":2000000,"eager":true})",
                                        R"({"msg_type":"hello","version":1})"};
  for (const std::string& frame : bad) {
    RawClient rude(server.port());
    greet(rude);
    rude.send_frame(frame);
    const json bye = answer(rude);
    EXPECT_EQ(bye["msg_type"], "bye") << frame;
    EXPECT_EQ(bye["code"], "bad_request") << frame;
    EXPECT_TRUE(rude.sees_the_end());
  }
  expect_alive();
}

TEST_F(Extended, ChunksOfTheWrongLengthEndTheConnection) {
  for (const std::int32_t length : {0, 5, -7, 0x7fffffff}) {
    RawClient rude(server.port());
    greet(rude);
    rude.send_frame(put_of("big", big, false).dump());
    EXPECT_EQ(answer(rude)["msg_type"], "ready");
    rude.send_frame(R"({"msg_type":"go","id":1,"offset":0})");
    const ChunkHeaderBytes header = pack_chunk_header({length, 0});
    rude.send({reinterpret_cast<const char*>(header.data()), header.size()});
    EXPECT_EQ(answer(rude)["code"], "bad_request") << length;
    EXPECT_TRUE(rude.sees_the_end());
  }
  expect_alive();
}

TEST_F(Extended, OtherVersionsAreToldApart) {
  RawClient old(server.port());
  old.send_frame(R"({"msg_type":"hello","version":0})");
  EXPECT_EQ(answer(old)["code"], "unsupported");
  RawClient later(server.port());
  later.send_frame(R"({"msg_type":"hello","version":7,"something":"new"})");
  EXPECT_EQ(answer(later)["version"], 1);
}

TEST_F(Extended, MessagesAreAnswered) {
  EXPECT_EQ(ask({{"msg_type", "say"}, {"id", 1}, {"text", "over here"}})["msg_type"], "done");
  EXPECT_NE(server.process().out().find("] over here\n"), std::string::npos);
}

TEST_F(Extended, PermissionDeniedIsSaid) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may do everything";
  fs::create_directory(server.file("closed"));
  fs::permissions(server.file("closed"), fs::perms::none);
  EXPECT_EQ(send_eager("closed/f", "x")["code"], "permission");
  fs::permissions(server.file("closed"), fs::perms::owner_all);
  expect_alive();
}

TEST_F(Extended, FilesInTheWayOfFoldersAreNamed) {
  EXPECT_EQ(send_eager("f", "x")["msg_type"], "done");
  EXPECT_EQ(send_eager("f/g", "x")["code"], "not_a_folder");
  EXPECT_EQ(ask({{"msg_type", "get"}, {"id", 1}, {"name", "f/g"}})["code"], "not_a_folder");
  EXPECT_EQ(ask({{"msg_type", "mkdir"}, {"id", 1}, {"name", "d"}})["msg_type"], "done");
  EXPECT_EQ(ask({{"msg_type", "get"}, {"id", 1}, {"name", "d"}})["code"], "is_folder");
  EXPECT_EQ(send_eager("d", "x")["code"], "is_folder");
  expect_alive();
}

TEST(Limits, TooManyConnectionsAreRefusedWithAReason) {
  ServerProcess server({"--max-connections", "2"});
  RawClient first(server.port());
  RawClient second(server.port());
  // Both must be in before the third comes.
  for (RawClient* client : {&first, &second}) {
    client->send_frame(R"({"msg_type":"hello","version":1})");
    ASSERT_TRUE(client->recv_frame());
  }
  RawClient third(server.port());
  const auto bye = third.recv_frame();
  ASSERT_TRUE(bye);
  EXPECT_NE(bye->find("busy"), std::string::npos);
  EXPECT_TRUE(third.sees_the_end());
}

TEST(Limits, FewerConnectionsThanJobsStillDoTheWork) {
  ServerProcess server({"--max-connections", "2"});
  TempFolder files;
  for (int i = 0; i < 300; ++i) write_file(files / ("t/f" + std::to_string(i)), noise(20'000));
  const Result sent = run(weft({"send", "-q", "-j", "8", files / "t", server.address()}));
  EXPECT_EQ(sent.code, 0) << sent.err;
  EXPECT_EQ(files_in(server.file("t")).size(), 300u);
}

TEST(Limits, IdleConnectionsAreToldAndEnded) {
  ServerProcess server({"--idle-timeout", "200ms"});
  RawClient client(server.port());
  client.send_frame(R"({"msg_type":"hello","version":1})");
  ASSERT_TRUE(client.recv_frame());
  const auto bye = client.recv_frame();
  ASSERT_TRUE(bye);
  EXPECT_NE(bye->find("too_slow"), std::string::npos);
  EXPECT_TRUE(client.sees_the_end());
}

TEST(Limits, LongFramesAreRefusedUnread) {
  ServerProcess server({"--max-frame", "2K"});
  RawClient client(server.port());
  client.send_length(2049);
  EXPECT_TRUE(client.sees_the_end());
}

}  // namespace
}  // namespace weft::app::test
