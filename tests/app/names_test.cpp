#include "proto/names.hpp"

#include <gtest/gtest.h>

#include "base/endpoint.hpp"
#include "base/text.hpp"

namespace weft::app {
namespace {

TEST(Names, OrdinaryOnesAreFine) {
  for (const char* name : {"a", "a/b/c.txt", "with space", "..x", "x..", "...", ".hidden",
                           "gr\xc3\xbc\xc3\x9f", "a\\b", "-rf", "*", "tab\there"}) {
    EXPECT_EQ(name_complaint(name), std::nullopt) << name;
  }
  EXPECT_EQ(name_complaint(std::string(255, 'x')), std::nullopt);
}

TEST(Names, ThoseThatCouldLeadElsewhereAreRefused) {
  for (const char* name : {"", ".", "..", "../x", "a/../b", "a/..", "/etc/passwd", "/", "a//b", "a/", "./a",
                           "a/.", ".weft-part", ".weft-part/x", "a/.weft-part/b"}) {
    EXPECT_NE(name_complaint(name), std::nullopt) << name;
  }
  EXPECT_NE(name_complaint(std::string_view("a\0b", 3)), std::nullopt);
  EXPECT_NE(name_complaint("bad\xff"), std::nullopt);
}

TEST(Names, TooLongIsToldFromMalformed) {
  EXPECT_TRUE(is_too_long(std::string(256, 'x')));
  EXPECT_TRUE(is_too_long("a/" + std::string(300, 'x') + "/b"));
  EXPECT_FALSE(is_too_long(std::string(255, 'x')));
  std::string deep = "d";
  while (deep.size() <= kMaxNameBytes) deep += "/d";
  EXPECT_TRUE(is_too_long(deep));
  EXPECT_NE(name_complaint(deep), std::nullopt);
}

TEST(Names, SplitAndJoinUndoEachOther) {
  EXPECT_EQ(split_name("a/b/c").folder, "a/b");
  EXPECT_EQ(split_name("a/b/c").leaf, "c");
  EXPECT_EQ(split_name("c").folder, "");
  EXPECT_EQ(join_names("a/b", "c"), "a/b/c");
  EXPECT_EQ(join_names("", "c"), "c");
}

TEST(Names, NumberedOnesFitIntoAFileName) {
  EXPECT_EQ(numbered_name("a.txt", 1), "a.txt.1");
  EXPECT_EQ(numbered_name("a.txt", 12), "a.txt.12");
  EXPECT_EQ(numbered_name(std::string(255, 'x'), 7), std::string(253, 'x') + ".7");
  // The cut falls between characters.
  const std::string euros = [] {
    std::string text;
    for (int i = 0; i < 85; ++i) text += "\xe2\x82\xac";
    return text;
  }();
  const std::string numbered = numbered_name(euros, 3);
  EXPECT_LE(numbered.size(), kMaxPartBytes);
  EXPECT_TRUE(is_utf8(numbered));
  EXPECT_TRUE(numbered.ends_with("\xac.3"));
}

TEST(Endpoint, IsReadAsUsersWriteIt) {
  EXPECT_EQ(parse_endpoint("localhost:8001"), (Endpoint{"localhost", 8001, ""}));
  EXPECT_EQ(parse_endpoint("nas:1/a/b"), (Endpoint{"nas", 1, "a/b"}));
  EXPECT_EQ(parse_endpoint("nas:1/a/"), (Endpoint{"nas", 1, "a"}));
  EXPECT_EQ(parse_endpoint("[::1]:8001/x"), (Endpoint{"::1", 8001, "x"}));
  EXPECT_EQ(parse_endpoint("[::1]:8001/x")->to_string(), "[::1]:8001/x");
  EXPECT_EQ(parse_endpoint("10.0.0.1:65535")->to_string(), "10.0.0.1:65535");
}

TEST(Endpoint, OtherTextsAreNone) {
  for (const char* text : {"", "host", ":8001", "host:", "host:0", "host:65536", "host:12x", "::1:80",
                           "[]:80", "a/b:80", "host:-1"}) {
    EXPECT_EQ(parse_endpoint(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace weft::app
