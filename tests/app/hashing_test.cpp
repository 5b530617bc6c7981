#include "base/hashing.hpp"

#include <gtest/gtest.h>

namespace weft::app {
namespace {

constexpr char kAbcDigest[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256, IsTheStandardOne) {
  EXPECT_EQ(Sha256::hex_of("abc"), kAbcDigest);
  EXPECT_EQ(Sha256().hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, MayBeAskedInBetween) {
  Sha256 sha;
  sha.update("ab");
  EXPECT_EQ(sha.hex(), Sha256::hex_of("ab"));
  sha.update("c");
  EXPECT_EQ(sha.hex(), kAbcDigest);
}

TEST(Xxh3, IsTheStandardOne) {
  EXPECT_EQ(xxh3(std::string_view()), 0x2D06800538D394C2u);
}

TEST(Secrets, AreEqualOnlyWhenTheyAre) {
  EXPECT_TRUE(equal_secrets("token", "token"));
  EXPECT_FALSE(equal_secrets("token", "tokem"));
  EXPECT_FALSE(equal_secrets("token", "token2"));
  EXPECT_FALSE(equal_secrets("", "token"));
}

}  // namespace
}  // namespace weft::app
