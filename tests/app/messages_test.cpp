#include "proto/messages.hpp"

#include <gtest/gtest.h>

#include "proto/chunk.hpp"

namespace weft::app {
namespace {

template <class Message, class Any>
Message get(Any any) {
  return std::get<Message>(std::move(any));
}

TEST(Messages, TheBaseProtocolIsReadAsScriptsWriteIt) {
  EXPECT_TRUE(std::holds_alternative<PlainText>(parse_plain_request(R"({"msg_type":"msg"})")));
  EXPECT_EQ(get<PlainFile>(parse_plain_request(R"({"msg_type": "file", "file_name": "a b.txt"})")).name,
            "a b.txt");
  EXPECT_EQ(
      get<PlainFile>(parse_plain_request(R"( {"file_name":"gr\u00fc","msg_type":"file","more":[1]} )")).name,
      "gr\xc3\xbc");
  const Hello hello = get<Hello>(parse_plain_request(R"({"msg_type":"hello","version":1,"token":"t"})"));
  EXPECT_EQ(hello.version, 1);
  EXPECT_EQ(hello.token, "t");
}

TEST(Messages, WhatIsNoMessageIsRefused) {
  for (const char* frame :
       {"", "close", "null", "[]", "1", "\"msg\"", "{", "{}", R"({"msg_type":1})", R"({"msg_type":"x"})",
        R"({"msg_type":"file"})", R"({"msg_type":"file","file_name":7})",
        R"({"msg_type":"file","file_name":null})", R"({"msg_type":"file","file_name":["a"]})",
        R"({"msg_type":"msg"} x)", "{\"msg_type\":\"msg\xff\"}", "\xef\xbb"}) {
    EXPECT_THROW((void)parse_plain_request(frame), BadMessage) << frame;
  }
}

TEST(Messages, NestingIsLimitedBeforeAnythingIsBuilt) {
  EXPECT_THROW((void)parse_plain_request(std::string(1 << 20, '[')), BadMessage);
  EXPECT_THROW((void)parse_plain_request(R"({"msg_type":"msg","x":)" + std::string(100, '[') +
                                         std::string(100, ']') + "}"),
               BadMessage);
  // Brackets inside strings are no nesting.
  EXPECT_NO_THROW((void)parse_plain_request(R"({"msg_type":"msg","x":"[[[[[[[[[[[[[\"[[[[["})"));
}

TEST(Messages, NumbersThatMakeNoSenseAreRefused) {
  const auto put = [](const std::string& size) {
    return parse_request(R"({"msg_type":"put","id":1,"name":"a","size":)" + size + "}");
  };
  EXPECT_EQ(get<Put>(put("9223372036854775807")).size, 9223372036854775807u);
  for (const char* size :
       {"-1", "1.5", "1e3", "9223372036854775808", "18446744073709551616", "\"5\"", "null", "true"}) {
    EXPECT_THROW((void)put(size), BadMessage) << size;
  }
  EXPECT_THROW((void)parse_request(R"({"msg_type":"put","id":1,"name":"a","size":1,"mode":512})"),
               BadMessage);
  EXPECT_THROW((void)parse_request(R"({"msg_type":"put","id":1,"name":"a","size":1,"policy":"maybe"})"),
               BadMessage);
  EXPECT_THROW((void)parse_request(R"({"msg_type":"put","id":1,"name":"a","size":1,"sha256":"abc"})"),
               BadMessage);
  EXPECT_THROW((void)parse_request(R"({"msg_type":"put","id":1,"size":1})"), BadMessage);
}

TEST(Messages, RequestsSurviveTheWire) {
  Put put;
  put.id = 7;
  put.name = "a/\"b\"\n\xe2\x82\xac";
  put.size = 1ull << 40;
  put.mtime_ns = -5;
  put.mode = 0755;
  put.policy = Policy::Rename;
  put.checks = false;
  put.eager = true;
  put.sha256 = std::string(64, 'a');
  const Put back = get<Put>(parse_request(to_json(put)));
  EXPECT_EQ(back.id, put.id);
  EXPECT_EQ(back.name, put.name);
  EXPECT_EQ(back.size, put.size);
  EXPECT_EQ(back.mtime_ns, put.mtime_ns);
  EXPECT_EQ(back.mode, put.mode);
  EXPECT_EQ(back.policy, put.policy);
  EXPECT_EQ(back.checks, put.checks);
  EXPECT_EQ(back.eager, put.eager);
  EXPECT_EQ(back.sha256, put.sha256);

  EXPECT_EQ(get<Go>(parse_request(to_json(Go{3, 1u << 20}))).offset, 1u << 20);
  EXPECT_TRUE(get<End>(parse_request(to_json(End{3, "", true}))).aborted);
  EXPECT_EQ(get<MakeFolder>(parse_request(to_json(MakeFolder{3, "d"}))).name, "d");
  EXPECT_TRUE(get<List>(parse_request(to_json(List{3, "d", true}))).recursive);
  const Get request = get<Get>(parse_request(to_json(Get{3, "f", 5, std::string(64, '0'), false})));
  EXPECT_EQ(request.offset, 5u);
  EXPECT_FALSE(request.checks);
  EXPECT_EQ(get<DigestOf>(parse_request(to_json(DigestOf{3, "f"}))).name, "f");
  EXPECT_EQ(get<Say>(parse_request(to_json(Say{3, "hi"}))).text, "hi");
  EXPECT_EQ(get<Wait>(parse_request(to_json(Wait{3}))).id, 3u);
}

TEST(Messages, ResponsesSurviveTheWire) {
  Welcome welcome;
  welcome.may_write = true;
  EXPECT_TRUE(get<Welcome>(parse_response(to_json(welcome))).may_write);
  EXPECT_EQ(get<Ready>(parse_response(to_json(Ready{1, 5, std::string(64, 'f')}))).offset, 5u);
  EXPECT_EQ(get<Done>(parse_response(to_json(Done{1, "n", ""}))).name, "n");
  const Entries entries{1, {{"a", false, 5, 6}, {"d", true, 0, 7}}, 2, true};
  const Entries back = get<Entries>(parse_response(to_json(entries)));
  EXPECT_EQ(back.entries, entries.entries);
  EXPECT_EQ(back.hidden, 2u);
  EXPECT_TRUE(back.more);
  EXPECT_EQ(get<FileHead>(parse_response(to_json(FileHead{1, 2, 3, 0600, 4}))).mode, 0600u);
  const Failed failed = get<Failed>(parse_response(to_json(Failed{1, Code::NoSpace, "full", 9})));
  EXPECT_EQ(failed.code, Code::NoSpace);
  EXPECT_EQ(failed.size, 9u);
  EXPECT_EQ(get<Bye>(parse_response(to_json(Bye{Code::Draining, "later"}))).code, Code::Draining);
  EXPECT_EQ(get<Bye>(parse_response(to_json(Bye{Code::TakenOver, "", 7}))).id, 7u);
  EXPECT_EQ(get<Bye>(parse_response(R"({"msg_type":"bye","code":"of_tomorrow"})")).code, Code::Io);
  EXPECT_EQ(get<Bye>(parse_response(R"({"msg_type":"bye","code":"draining"})")).id, 0u);
}

TEST(Messages, TextsThatAreNoUtf8StillTravel) {
  EXPECT_NO_THROW((void)parse_response(to_json(Failed{1, Code::Io, "bad \xff", 0})));
}

TEST(Chunk, HeaderIsLittleEndian) {
  const ChunkHeaderBytes bytes = pack_chunk_header({199, 0x0102030405060708});
  EXPECT_EQ(bytes, (ChunkHeaderBytes{0xC7, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1}));
  EXPECT_EQ(unpack_chunk_header(bytes).length, 199);
  EXPECT_EQ(unpack_chunk_header(bytes).xxh3, 0x0102030405060708u);
  EXPECT_EQ(unpack_chunk_header(pack_chunk_header({kAbortedChunk, 0})).length, -1);
}

}  // namespace
}  // namespace weft::app
