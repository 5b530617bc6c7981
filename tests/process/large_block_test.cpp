#include "process/memory/large_block.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include <chrono>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/process/sendable.hpp>

#include "process/memory/memory.hpp"
#include "support/in_child.hpp"

namespace weft::test {
namespace {

using process::detail::LargeBlock;

std::vector<std::byte> pattern(std::size_t size, unsigned seed) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((i * 31 + i / 4096 + seed) & 0xff);
  return bytes;
}

bool holds(const LargeBlock& block, const std::vector<std::byte>& bytes) {
  return block.size() == bytes.size() && std::memcmp(block.bytes().data(), bytes.data(), bytes.size()) == 0;
}

LargeBlock received(const LargeBlock& block, int fd) { return LargeBlock::receive(OwnedFd::duplicate(fd), block.size()); }

TEST(LargeBlock, BringsWhatWasWrittenHoweverItIsWrittenAndRead) {
  // Several rounds: what was new, and copied by the kernel, becomes what is used again, and copied through mappings.
  for (unsigned round = 0; round < 8; ++round) {
    const auto sent = pattern((std::size_t{1} << 20) + round * 4097, round);
    LargeBlock block = LargeBlock::take(sent.size());
    block.write(0, std::span{sent}.first(100'001));
    block.write(100'001, std::span{sent}.subspan(100'001));
    LargeBlock there = received(block, block.lend());
    std::vector<std::byte> got(sent.size());
    there.read(0, got.data(), 7);
    there.read(7, got.data() + 7, got.size() - 7);
    EXPECT_EQ(got, sent);
    EXPECT_TRUE(holds(there, sent));
    EXPECT_TRUE(holds(block, sent));
  }
}

TEST(LargeBlock, IsUsedAgainOnceEachReceiverLetGo) {
  LargeBlock block = LargeBlock::take(1'000'000);
  const std::byte* const at = block.bytes().data();
  const int fd = block.lend();
  LargeBlock first = received(block, fd);
  (void)block.lend();
  LargeBlock second = received(block, fd);
  block = {};
  first = {};
  LargeBlock other = LargeBlock::take(1'000'000);
  EXPECT_NE(other.bytes().data(), at);  // the second one may still read it
  second = {};
  LargeBlock again = LargeBlock::take(1'000'000);
  EXPECT_EQ(again.bytes().data(), at);
}

TEST(LargeBlock, IsNotUsedAgainAfterAReceiverWasKilled) {
  LargeBlock block = LargeBlock::take(1'000'000);
  const std::byte* const at = block.bytes().data();
  const OwnedFd fd = OwnedFd::duplicate(block.lend());  // the child has it, but not the block's own
  EXPECT_EQ(in_child([&] {
              LargeBlock there = received(block, fd.get());
              return ::raise(SIGKILL);
            }),
            -SIGKILL);
  block = {};
  LargeBlock other = LargeBlock::take(1'000'000);
  EXPECT_NE(other.bytes().data(), at);
}

TEST(LargeBlock, IsGivenBackToTheSystemByTrim) {
  LargeBlock block = LargeBlock::take(1'000'000);
  const int fd = block.lend();
  const auto is_open = [](int number) { return ::fcntl(number, F_GETFD) != -1; };
  block = {};
  LargeBlock::trim(std::chrono::hours{1});
  EXPECT_TRUE(is_open(fd));
  LargeBlock::trim(std::chrono::nanoseconds{0});
  EXPECT_FALSE(is_open(fd));
}

TEST(LargeBlock, ThatReachedNobodyIsUsedAgain) {
  LargeBlock block = LargeBlock::take(1'000'000);
  const std::byte* const at = block.bytes().data();
  (void)block.lend();
  block.take_back();
  block = {};
  EXPECT_EQ(LargeBlock::take(1'000'000).bytes().data(), at);
}

TEST(LargeBlock, ComesBackFromAnotherProcess) {
  const auto sent = pattern(3'000'000, 1);
  const auto back = pattern(3'000'000, 2);
  LargeBlock question = LargeBlock::take(sent.size());
  question.write(0, sent);
  LargeBlock answer = LargeBlock::take(back.size());
  const OwnedFd question_fd = OwnedFd::duplicate(question.lend());
  const OwnedFd answer_fd = OwnedFd::duplicate(answer.lend());
  EXPECT_EQ(in_child([&] {
              LargeBlock there = received(question, question_fd.get());
              if (!holds(there, sent)) return 1;
              received(answer, answer_fd.get()).write(0, back);
              return 0;
            }),
            0);
  EXPECT_TRUE(holds(answer, back));
}

TEST(LargeBlock, InUseIsNotKeptByAChildOfFork) {
  LargeBlock block = LargeBlock::take(3'000'000);
  const int fd = block.lend();
  const std::byte* const at = block.bytes().data();
  EXPECT_EQ(in_child([&] {
              std::vector<unsigned char> pages(1'000);
              const bool is_mapped = ::mincore(const_cast<std::byte*>(at), 3'000'000, pages.data()) == 0;
              return (is_mapped ? 1 : 0) + (::fcntl(fd, F_GETFD) != -1 ? 2 : 0);
            }),
            0);
}

TEST(LargeBlock, OfTheParentIsNotTheChildsToUse) {
  LargeBlock kept = LargeBlock::take(1'000'000);
  LargeBlock lent = LargeBlock::take(1'000'000);
  LargeBlock there = received(lent, lent.lend());
  kept = {};  // may be used again, by the parent
  EXPECT_EQ(in_child([&] {
              there = {};  // a copy: the parent still reads its own
              lent = {};
              LargeBlock mine = LargeBlock::take(1'000'000);
              std::memset(mine.bytes().data(), 0xff, mine.size());
              return 0;
            }),
            0);
  const std::byte* const at = lent.bytes().data();
  lent = {};
  EXPECT_NE(LargeBlock::take(1'000'000).bytes().data(), at);
  there = {};
}

TEST(LargeBlock, GrowsAndKeepsWhatIsInIt) {
  const auto sent = pattern(5'000'000, 3);
  LargeBlock block = LargeBlock::take(1'000);
  block.write(0, std::span{sent}.first(1'000));
  block.resize(sent.size());
  block.write(1'000, std::span{sent}.subspan(1'000));
  LargeBlock there = received(block, block.lend());
  EXPECT_TRUE(holds(there, sent));
}

TEST(LargeBlock, ThatGrewIsMappedAnewByWhoKnewItSmaller) {
  // The one of a size that no other test uses, so that it is the same each time.
  constexpr std::size_t kSmall = 40'000'000, kLarge = 50'000'000;
  LargeBlock block = LargeBlock::take(kSmall);
  for (int i = 0; i < 3; ++i) (void)received(block, block.lend());
  block.resize(kLarge);
  block.bytes()[kLarge - 1] = std::byte{7};
  LargeBlock there = received(block, block.lend());
  EXPECT_EQ(there.bytes()[kLarge - 1], std::byte{7});
}

TEST(LargeBlock, RefusesWhatIsNone) {
  const auto receive = [](OwnedFd fd, std::size_t size) { (void)LargeBlock::receive(std::move(fd), size); };
  EXPECT_THROW(receive(process::detail::make_memory("empty", 8192), 4096), ProtocolError);
  EXPECT_THROW(receive(OwnedFd{::open("/dev/null", O_RDWR | O_CLOEXEC)}, 0), ProtocolError);
  LargeBlock block = LargeBlock::take(4096);
  EXPECT_THROW(receive(OwnedFd::duplicate(block.lend()), 4097), ProtocolError);
}

TEST(LargeBlock, TooLargeForTheMachineSaysSo) {
  try {
    (void)LargeBlock::take(std::size_t{1} << 45);
    FAIL();
  } catch (const OSError& error) {
    EXPECT_NE(std::string{error.what()}.find("reserving"), std::string::npos) << error.what();
    EXPECT_NE(std::string{error.what()}.find("ask for less"), std::string::npos) << error.what();
  }
}

TEST(LargeBlock, IsWhereALargeValueIsPutAtOnceAndReadFrom) {
  using Value = std::tuple<std::string, std::vector<int>, std::vector<std::string>, std::vector<double>>;
  Value value{"first", std::vector<int>(3'000'000, 7), {}, std::vector<double>(100'000, 0.5)};
  for (int i = 0; i < 100'000; ++i) std::get<2>(value).push_back(std::to_string(i));
  for (int round = 0; round < 5; ++round) {
    process::Outgoing out;
    out.put_large_in_block();
    out(value);
    ASSERT_TRUE(out.in_block());
    const std::size_t size = out.bytes().size();
    LargeBlock block = out.take_block();
    EXPECT_EQ(block.size(), size);
    EXPECT_TRUE(out.bytes().empty());
    const LargeBlock there = received(block, block.lend());
    process::Incoming in = process::Incoming::from_block(there);
    EXPECT_EQ(in.receive<Value>(), value);
    EXPECT_EQ(in.remaining(), 0U);
  }
}

TEST(LargeBlock, IsNotWhereASmallValueIsPut) {
  process::Outgoing out;
  out.put_large_in_block();
  out(std::string(1'000, 'x'));
  EXPECT_FALSE(out.in_block());
}

}  // namespace
}  // namespace weft::test
