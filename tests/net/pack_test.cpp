#include <weft/net/pack.hpp>

#include <gtest/gtest.h>

#include <limits>

namespace weft {
namespace {

using namespace std::string_literals;

TEST(Pack, Example) {
  EXPECT_EQ(pack(199), "\xC7\0\0\0"s);
  EXPECT_EQ(pack(199, {.byte_order = ByteOrder::Big}), "\0\0\0\xC7"s);
  EXPECT_EQ(unpack<int>("\xC7\0\0\0"s), 199);
  EXPECT_THROW((void)pack(199, {.width = 1}), PackError);
  EXPECT_EQ(pack(199, {.width = 1, .is_signed = false}), "\xC7"s);
}

TEST(Pack, KeepsEveryLimitOfEveryFormatAndRefusesTheNextValue) {
  for (const unsigned width : {1u, 2u, 4u, 8u}) {
    for (const ByteOrder order : {ByteOrder::Little, ByteOrder::Big}) {
      const IntegerFormat is_signed{width, order, true};
      const IntegerFormat is_unsigned{width, order, false};
      const std::int64_t most = width == 8 ? std::numeric_limits<std::int64_t>::max() : (std::int64_t{1} << (8 * width - 1)) - 1;
      const std::int64_t least = -most - 1;
      const std::uint64_t most_unsigned = 2 * static_cast<std::uint64_t>(most) + 1;
      for (const std::int64_t value : {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, most, least}) {
        EXPECT_EQ(unpack(pack(value, is_signed), is_signed), value) << width;
      }
      EXPECT_EQ(unpack<std::uint64_t>(pack(most_unsigned, is_unsigned), is_unsigned), most_unsigned);
      EXPECT_EQ(pack(most_unsigned, is_unsigned), std::string(width, '\xFF'));
      EXPECT_EQ(pack(-1, is_signed), std::string(width, '\xFF'));
      EXPECT_THROW((void)pack(-1, is_unsigned), PackError);
      EXPECT_THROW((void)pack(static_cast<std::uint64_t>(most) + 1, is_signed), PackError);
      if (width < 8) {
        EXPECT_THROW((void)pack(least - 1, is_signed), PackError);
        EXPECT_THROW((void)pack(most_unsigned + 1, is_unsigned), PackError);
      }
    }
  }
}

TEST(Pack, SaysWhatDoesNotFit) {
  try {
    (void)pack(-129, {.width = 1});
    FAIL();
  } catch (const PackError& error) {
    EXPECT_STREQ(error.what(), "pack -129: out of range for 1 byte, signed");
  }
  try {
    (void)unpack<std::uint8_t>(pack(256));
    FAIL();
  } catch (const PackError& error) {
    EXPECT_STREQ(error.what(), "unpack 256: out of range for 1 byte, unsigned");
  }
}

TEST(Pack, RefusesWidthsThatDoNotExistAndBytesOfAnotherWidth) {
  for (const unsigned width : {0u, 3u, 5u, 7u, 9u, 16u}) {
    EXPECT_THROW((void)pack(1, {.width = width}), PackError) << width;
    EXPECT_THROW((void)unpack(std::string(width, 'x'), {.width = width}), PackError) << width;
  }
  EXPECT_THROW((void)unpack("abc"), PackError);
  EXPECT_THROW((void)unpack("abcde"), PackError);
  EXPECT_THROW((void)unpack(""), PackError);
}

TEST(Pack, NeverCutsAValueToFitTheTypeAskedFor) {
  EXPECT_THROW((void)unpack<std::uint32_t>(pack(-1)), PackError);
  EXPECT_THROW((void)unpack<std::uint64_t>(pack(-1, {.width = 8}), {.width = 8}), PackError);
  EXPECT_THROW((void)unpack<std::int8_t>(pack(128)), PackError);
  EXPECT_THROW((void)unpack<std::int64_t>(std::string(8, '\xFF'), {.width = 8, .is_signed = false}), PackError);
  EXPECT_EQ(unpack<std::int8_t>(pack(-128)), -128);
}

}  // namespace
}  // namespace weft
