#include <weft/http/headers.hpp>

#include <gtest/gtest.h>

namespace weft::http {
namespace {

TEST(Headers, AreFoundInAnyCase) {
  const Headers headers{{"Content-Type", "text/plain"}, {"X-Count", "1"}};
  EXPECT_EQ(headers.get("content-type"), "text/plain");
  EXPECT_EQ(headers.get("CONTENT-TYPE"), "text/plain");
  EXPECT_TRUE(headers.contains("x-count"));
  EXPECT_EQ(headers.get("X-Coun"), std::nullopt);
  EXPECT_FALSE(headers.contains("X-Count-Of"));
  EXPECT_FALSE(headers.contains(""));
}

TEST(Headers, KeepRepeatedOnesApartAndInOrder) {
  Headers headers;
  EXPECT_TRUE(headers.empty());
  headers.add("Set-Cookie", "a=1");
  headers.add("Server", "x");
  headers.add("set-cookie", "b=2");
  EXPECT_EQ(headers.get_all("Set-Cookie"), (std::vector<std::string>{"a=1", "b=2"}));
  EXPECT_EQ(headers.get("Set-Cookie"), "a=1, b=2");
  EXPECT_TRUE(headers.get_all("Date").empty());
  EXPECT_EQ(headers.size(), 3u);
  EXPECT_EQ(headers.begin()->first, "Set-Cookie");
}

TEST(Headers, AreReplacedAndErasedByName) {
  Headers headers{{"A", "1"}, {"a", "2"}, {"B", "3"}};
  headers.set("a", "4");
  EXPECT_EQ(headers.get_all("A"), (std::vector<std::string>{"4"}));
  headers.erase("b");
  EXPECT_FALSE(headers.contains("B"));
  EXPECT_EQ(headers.size(), 1u);
}

}  // namespace
}  // namespace weft::http
