#include <weft/process/shareable_list.hpp>

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>

#include "process/python_script.hpp"
#include "support/in_child.hpp"

namespace weft::test {
namespace {

using process::Incoming;
using process::Outgoing;
using process::ShareableItem;
using process::ShareableList;
using process::SharedMemory;
using process::Transfer;

ShareableItem bytes(std::string_view text) { return std::as_bytes(std::span{text}); }

/// Each kind, and each of text's special cases.
const std::vector<ShareableItem>& sample() {
  static const std::vector<ShareableItem> items{7,    -1,   2.5,           true,
                                                false, nullptr, "hi", "h\xc3\xa9llo w\xc3\xb6rld",
                                                bytes({"ab\0", 3}), ""};
  return items;
}

std::string shown(const ShareableList& list) {
  std::string text;
  for (const ShareableItem item : list) text += (text.empty() ? "[" : ", ") + item.repr();
  return text.empty() ? "[]" : text + "]";
}

std::string hex(std::span<const std::byte> data) {
  std::string text;
  for (const std::byte byte : data) {
    static constexpr char kDigits[] = "0123456789abcdef";
    (text += kDigits[static_cast<unsigned>(byte) >> 4]) += kDigits[static_cast<unsigned>(byte) & 15];
  }
  return text;
}

template <class Failure>
std::optional<std::string> message_of(auto call) {
  try {
    call();
  } catch (const Failure& failure) {
    return failure.what();
  }
  return std::nullopt;
}

TEST(ShareableList, GivesBackWhatItWasMadeOf) {
  const ShareableList list{sample()};
  ASSERT_EQ(list.size(), 10U);
  EXPECT_EQ(list[0].get<std::int64_t>(), 7);
  EXPECT_EQ(list[1].get<std::int64_t>(), -1);
  EXPECT_EQ(list[2].get<double>(), 2.5);
  EXPECT_TRUE(list[3].get<bool>());
  EXPECT_FALSE(list[4].get<bool>());
  EXPECT_TRUE(list[5].is_none());
  EXPECT_EQ(list[6].get<std::string>(), "hi");
  EXPECT_EQ(list[-3].get<std::string>(), "h\xc3\xa9llo w\xc3\xb6rld");
  EXPECT_EQ(list[-2], bytes("ab"));  // NULs at the end are lost
  EXPECT_EQ(list[-1].get<std::string>(), "");
  EXPECT_EQ(shown(list), "[7, -1, 2.5, True, False, None, 'hi', 'h\xc3\xa9llo w\xc3\xb6rld', b'ab', '']");
}

// As CPython 3.11 writes it.
TEST(ShareableList, IsLaidOutAsPythonsIsByteForByte) {
  const ShareableList list{sample()};
  EXPECT_EQ(hex(list.memory().buffer()),
            "0a0000000000000000000000000000000800000000000000100000000000000018000000000000002000000000000000"
            "280000000000000030000000000000003800000000000000480000000000000050000000000000005800000000000000"
            "0700000000000000ffffffffffffffff0000000000000440000000000000000100000000000000000000000000000000"
            "686900000000000068c3a96c6c6f2077c3b6726c64000000616200000000000000000000000000007100000000000000"
            "71000000000000006400000000000000787878787878783f787878787878783f7878787878783f783873000000000000"
            "31367300000000003873000000000000387300000000000000000000000301010201");
  EXPECT_EQ(list.format(), "qqdxxxxxxx?xxxxxxx?xxxxxx?x8s16s8s8s");
  EXPECT_EQ(list.format(-3), "16s");
  EXPECT_EQ(hex(ShareableList{}.memory().buffer()), "00000000000000000000000000000000");
}

TEST(ShareableList, AnEmptyOneHasNoItems) {
  const ShareableList list{};
  EXPECT_EQ(list.size(), 0U);
  EXPECT_EQ(list.format(), "");
  EXPECT_TRUE(list.items().empty());
  EXPECT_THROW((void)list[0], std::out_of_range);
  EXPECT_THROW((void)list[-1], std::out_of_range);
}

TEST(ShareableList, AnItemIsOverwrittenByAnyTypeThatFits) {
  ShareableList list{1, "twelve bytes", 2.5};
  list[0] = 3.25;
  EXPECT_EQ(list[0], 3.25);
  EXPECT_EQ(list.format(0), "d");
  list[0] = "eight by";
  EXPECT_EQ(list[0], "eight by");
  EXPECT_EQ(list.format(0), "8s");
  list[0] = nullptr;
  EXPECT_EQ(list[0], nullptr);
  list[0] = std::numeric_limits<std::int64_t>::min();
  EXPECT_EQ(list[0], std::numeric_limits<std::int64_t>::min());
  list[1] = true;
  EXPECT_EQ(list.format(1), "xxxxxxx?");
  list[1] = bytes("exactly sixteen.");  // all the room that it had at first
  EXPECT_EQ(list[1], bytes("exactly sixteen."));
  EXPECT_EQ(list.format(1), "16s");
  list[1] = "x";
  EXPECT_EQ(list.format(1), "16s");
  EXPECT_EQ(list[1], "x");
  list[-1] = list[1];  // the value
  EXPECT_EQ(list[2], "x");
  EXPECT_EQ(list[1], "x");
}

TEST(ShareableList, WhatDoesNotFitIsRefusedAndChangesNothing) {
  ShareableList list{1, "text"};
  const auto message = message_of<std::invalid_argument>([&] { list[1] = "nine byte"; });
  ASSERT_TRUE(message);
  EXPECT_NE(message->find("room for 8"), std::string::npos) << *message;
  EXPECT_THROW((list[0] = "nine byte"), std::invalid_argument);
  EXPECT_THROW((list[0] = "\xff"), std::invalid_argument);
  for (const char* text : {"\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"})
    EXPECT_THROW((list[0] = text), std::invalid_argument) << text;
  EXPECT_EQ(shown(list), "[1, 'text']");
  list[0] = "\xf0\x9f\x98\x80";
  EXPECT_EQ(list[0], "\xf0\x9f\x98\x80");
  EXPECT_THROW((void)list[2], std::out_of_range);
  EXPECT_THROW(list.set(-3, 1), std::out_of_range);
  EXPECT_THROW(ShareableItem{std::numeric_limits<std::uint64_t>::max()}, std::out_of_range);
}

TEST(ShareableList, HasRoomForWhatAFormatOfEightCharactersCanSay) {
  const ShareableList list{std::string(9'999'991, 'x')};
  EXPECT_EQ(list.format(0), "9999992s");
  EXPECT_EQ(list[0].get<std::string>().size(), 9'999'991U);
  EXPECT_THROW(ShareableList{std::string(9'999'992, 'x')}, std::invalid_argument);
}

TEST(ShareableList, TextIsGivenRoomByItsBytes) {
  std::string text;
  for (int i = 0; i < 15; ++i) text += "\xc3\xa9";
  const ShareableList list{text};  // Python cuts this to 16 bytes
  EXPECT_EQ(list[0], text);
}

TEST(ShareableList, CountsAndFindsAsPythonCompares) {
  const ShareableList list{1, true, 1.0, "1", 2, nullptr, bytes("1"), 0.5};
  EXPECT_EQ(list.count(1), 3U);
  EXPECT_EQ(list.count(true), 3U);
  EXPECT_EQ(list.count("1"), 1U);
  EXPECT_EQ(list.count(nullptr), 1U);
  EXPECT_EQ(list.count(0), 0U);
  EXPECT_EQ(list.index(2.0), 4U);
  EXPECT_EQ(list.index(bytes("1")), 6U);
  const auto message = message_of<std::invalid_argument>([&] { (void)list.index("no"); });
  ASSERT_TRUE(message);
  EXPECT_NE(message->find("'no'"), std::string::npos) << *message;
  // 2**53 + 1 has no double.
  EXPECT_NE(ShareableItem{(std::int64_t{1} << 53) + 1}, ShareableItem{0x1p53});
  EXPECT_NE(ShareableItem{std::numeric_limits<std::int64_t>::max()}, ShareableItem{0x1p63});
}

TEST(ShareableList, IsShownAsPythonShowsIt) {
  EXPECT_EQ(ShareableItem{"it's"}.repr(), "\"it's\"");
  EXPECT_EQ(ShareableItem{"a\n\x01\\"}.repr(), "'a\\n\\x01\\\\'");
  EXPECT_EQ(ShareableItem{2.0}.repr(), "2.0");
  EXPECT_EQ(ShareableItem{0.1}.repr(), "0.1");
  EXPECT_EQ(bytes({"\0'\xff", 3}).repr(), "b'\\x00\\'\\xff'");
}

TEST(ShareableList, IsSharedByFork) {
  ShareableList list{0, "from the parent"};
  EXPECT_EQ(in_child([&] {
              if (list[1] != "from the parent") return 1;
              list[0] = 42;
              list[1] = nullptr;
              return 0;
            }),
            0);
  EXPECT_EQ(shown(list), "[42, None]");
}

TEST(ShareableList, IsFoundByItsName) {
  ShareableList list = ShareableList::create("", {1, "two", 3.0});
  ShareableList there = ShareableList::attach(list.name());
  there[0] = "one";
  EXPECT_EQ(shown(list), "['one', 'two', 3.0]");
  list.memory().unlink();
}

TEST(ShareableList, IsSent) {
  ShareableList list{1, "two"};
  Outgoing out;
  Transfer<ShareableList>::send(out, list);
  Incoming in{out.bytes(), out.take_descriptors()};
  ShareableList there = Transfer<ShareableList>::receive(in);
  there[0] = 2;
  EXPECT_EQ(list[0], 2);
}

TEST(ShareableList, ThatWasClosedSaysSo) {
  ShareableList list{1, 2};
  list.memory().close();
  EXPECT_THROW((void)list.get(0), InvalidStateError);
  EXPECT_THROW(list.set(0, 1), InvalidStateError);
}

TEST(ShareableList, MemoryThatHoldsNoneIsRefused) {
  const auto refuses = [](auto fill) {
    const ShareableList list{1, "two"};
    const SharedMemory memory = list.memory();
    fill(memory.as<std::int64_t>(), memory);
    return message_of<ProtocolError>([&] { (void)ShareableList{memory}; }).has_value();
  };
  EXPECT_FALSE(refuses([](auto, auto&) {}));
  EXPECT_TRUE(refuses([](auto words, auto&) { words[0] = -1; }));
  EXPECT_TRUE(refuses([](auto words, auto&) { words[0] = 1'000'000'000'000; }));
  EXPECT_TRUE(refuses([](auto words, auto&) { words[1] = 8; }));  // sizes, as Python 3.8 had there
  EXPECT_TRUE(refuses([](auto words, auto&) { words[2] = -8; }));
  EXPECT_TRUE(refuses([](auto words, auto&) { words[3] = 1 << 20; }));
  EXPECT_TRUE(refuses([](auto words, auto&) { words[3] = 24; }));  // the formats do not fit any more
  EXPECT_THROW(ShareableList{SharedMemory{8}}, ProtocolError);
}

TEST(ShareableList, AFormatThatMakesNoSenseIsAnErrorAndNoCrash) {
  const ShareableList list{1, "two"};
  const auto buffer = list.memory().buffer();
  const auto format = buffer.subspan(buffer.size() - 2 - 8, 8);  // the last one's
  for (const std::string_view damaged : {"9s", "99999s", "-1s", "s", "zz", "8d"}) {
    std::memset(format.data(), 0, 8);
    std::memcpy(format.data(), damaged.data(), damaged.size());
    EXPECT_THROW((void)list.get(1), ProtocolError) << damaged;
  }
}

// ---- with Python ------------------------------------------------------------------------------------------------------

TEST(ShareableListWithPython, PythonReadsAndWritesOneOfWeft) {
  PythonScript python{"shared.py"};
  ShareableList list = ShareableList::create("", sample());
  EXPECT_EQ(python.ask("list " + list.name()),
            "[7, -1, 2.5, True, False, None, 'hi', 'h\xc3\xa9llo w\xc3\xb6rld', b'ab', ''] " + list.format());
  EXPECT_EQ(python.ask("assign " + list.name() + " 0 'by Pyth'"), "'by Pyth'");
  EXPECT_EQ(list[0], "by Pyth");
  EXPECT_EQ(list.format(0), "8s");
  EXPECT_EQ(python.ask("assign " + list.name() + " 5 1.25"), "1.25");
  EXPECT_EQ(list[5], 1.25);
  EXPECT_EQ(python.ask("assign " + list.name() + " 6 'nine char'").substr(0, 10), "ValueError");
  EXPECT_EQ(python.finish(), 0);
  list.memory().unlink();
}

TEST(ShareableListWithPython, WeftReadsAndWritesOneOfPython) {
  PythonScript python{"shared.py"};
  const std::string name = python.ask("make-list [7, -1, 2.5, True, False, None, 'hi', 'h\\u00e9llo w\\u00f6rld', b'ab', '']");
  ShareableList list = ShareableList::attach(name);
  EXPECT_EQ(shown(list), "[7, -1, 2.5, True, False, None, 'hi', 'h\xc3\xa9llo w\xc3\xb6rld', b'ab', '']");
  list[0] = "weft";
  list[1] = nullptr;
  list[6] = bytes("eight by");
  list[7] = "h\xc3\xa9";
  EXPECT_EQ(python.ask("list " + name), "['weft', None, 2.5, True, False, None, b'eight by', 'h\xc3\xa9', b'ab', ''] " + list.format());
  EXPECT_EQ(python.ask("unlink " + name), "unlinked");
}

}  // namespace
}  // namespace weft::test
