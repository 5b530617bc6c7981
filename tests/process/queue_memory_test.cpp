#include "process/queue/queue_memory.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <deque>
#include <string>
#include <vector>

#include <weft/base/error.hpp>

#include "process/sync_child.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

using process::detail::kSegmentBytes;
using process::detail::kSegmentStart;
using process::detail::QueueMemory;

void put(QueueMemory& memory, const std::string& text) {
  memory.publish(memory.write(std::as_bytes(std::span{text})));
}

std::string get(QueueMemory& memory) {
  const std::size_t size = memory.read({}).size;
  std::string text(size, '\0');
  const QueueMemory::Read read = memory.read(std::as_writable_bytes(std::span{text}));
  EXPECT_EQ(read.size, size);
  memory.take(read.next);
  return text;
}

std::string made(std::size_t size, int seed) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    text[i] = static_cast<char>('a' + (i * 7 + static_cast<std::size_t>(seed)) % 26);
  return text;
}

std::size_t kept_bytes(const QueueMemory& memory) {
  struct stat status {};
  EXPECT_EQ(::fstat(memory.file(), &status), 0);
  return static_cast<std::size_t>(status.st_blocks) * 512;
}

void expect_all_accounted_for(QueueMemory& memory) {
  const QueueMemory::Census census = memory.census();
  EXPECT_EQ(census.all, census.spare + census.chained);
}

TEST(QueueMemory, KeepsStringsOfAnySizeInOrder) {
  QueueMemory memory{{}};
  std::deque<std::string> inside;
  Random random{7};
  for (int i = 0; i < 3000; ++i) {
    const bool large = random.below(100) == 0;
    inside.push_back(made(random.below(large ? 600'000 : 900), i));
    put(memory, inside.back());
    while (inside.size() > 20 || (!inside.empty() && random.below(3) == 0)) {
      ASSERT_EQ(get(memory), inside.front());
      inside.pop_front();
    }
  }
  for (const std::string& text : inside) ASSERT_EQ(get(memory), text);
  expect_all_accounted_for(memory);
}

// Each way in which a string can meet the end of a segment.
TEST(QueueMemory, StringsMeetTheEndOfASegmentAnywhere) {
  const std::size_t room = kSegmentBytes - kSegmentStart;
  for (std::size_t left = 0; left <= 32; left += 8) {
    for (std::size_t size : {0u, 1u, 7u, 8u, 9u, 16u, 24u, 25u, 100u}) {
      QueueMemory memory{{}};
      const std::string first = made(room - left - 8, 1);
      const std::string second = made(size, 2);
      put(memory, first);
      put(memory, second);
      put(memory, "end");
      ASSERT_EQ(get(memory), first);
      ASSERT_EQ(get(memory), second) << left << ' ' << size;
      ASSERT_EQ(get(memory), "end");
    }
  }
}

TEST(QueueMemory, AnEmptyQueueIsSmallAndSegmentsAreUsedAgain) {
  QueueMemory memory{{}};
  EXPECT_LE(kept_bytes(memory), 32u * 1024);
  for (int i = 0; i < 2000; ++i) {
    put(memory, made(1000, i));
    ASSERT_EQ(get(memory), made(1000, i));
  }
  EXPECT_LE(memory.census().all, 3u);
}

TEST(QueueMemory, GivesBackTheMemoryOfALongQueueAndTakesItAgain) {
  QueueMemory memory{{}};
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 400; ++i) put(memory, made(100'000, i));
    EXPECT_GE(kept_bytes(memory), 40'000'000u);
    const std::size_t segments = memory.census().all;
    EXPECT_LE(segments, 330u);
    for (int i = 0; i < 400; ++i) ASSERT_EQ(get(memory), made(100'000, i));
    EXPECT_LE(kept_bytes(memory), 20u * kSegmentBytes + segments * kSegmentStart);
    expect_all_accounted_for(memory);
  }
}

TEST(QueueMemory, IsSeenWholeByAnotherMapping) {
  QueueMemory memory{{.maxsize = 5, .type = 9, .name = "shared"}};
  for (int i = 0; i < 10; ++i) put(memory, made(300'000, i));
  QueueMemory other{OwnedFd::duplicate(memory.file()), 9};
  EXPECT_STREQ(other.control().name, "shared");
  EXPECT_EQ(other.control().maxsize, 5u);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(get(i % 2 ? memory : other), made(300'000, i));
  for (int i = 0; i < 10; ++i) put(other, made(300'000, i));
  for (int i = 0; i < 10; ++i) ASSERT_EQ(get(memory), made(300'000, i));
}

TEST(QueueMemory, IsNotTakenForWhatItIsNot) {
  QueueMemory memory{{.type = 9}};
  EXPECT_THROW((QueueMemory{OwnedFd::duplicate(memory.file()), 10}), ProtocolError);
  OwnedFd empty{::memfd_create("empty", MFD_CLOEXEC)};
  EXPECT_THROW((QueueMemory{OwnedFd::duplicate(empty.get()), 9}), ProtocolError);
  ASSERT_EQ(::ftruncate(empty.get(), 1 << 20), 0);
  EXPECT_THROW((QueueMemory{OwnedFd::duplicate(empty.get()), 9}), ProtocolError);
}

// What a process that is killed between taking a segment and publishing leaves.
TEST(QueueMemory, FindsLostSegments) {
  QueueMemory memory{{}};
  put(memory, "first");
  const std::string lost = made(1'000'000, 1);
  (void)memory.write(std::as_bytes(std::span{lost}));  // never published
  memory.control().needs_repair = 1;
  EXPECT_LT(memory.census().spare + memory.census().chained, memory.census().all);
  const std::size_t before = memory.census().all;
  put(memory, made(900'000, 2));
  expect_all_accounted_for(memory);
  EXPECT_EQ(memory.census().all, before);
  EXPECT_EQ(get(memory), "first");
  EXPECT_EQ(get(memory), made(900'000, 2));
  expect_all_accounted_for(memory);
}

TEST(QueueMemory, APutThatGetsNoMemoryChangesNothing) {
  Child child{[] {
    QueueMemory memory{{}};
    put(memory, "first");
    const rlimit limit{1'000'000, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    for (int round = 0; round < 5; ++round) {
      try {
        put(memory, made(2'000'000, 1));
        return false;
      } catch (const OSError& error) {
        if (error.errno_value() != EFBIG) return false;
      }
    }
    int fit = 0;
    try {
      for (;; ++fit) put(memory, made(50'000, fit));
    } catch (const OSError&) {
    }
    if (fit < 15) return false;  // nothing was lost to those that failed
    if (get(memory) != "first") return false;
    for (int i = 0; i < fit; ++i) {
      if (get(memory) != made(50'000, i)) return false;
    }
    for (int i = 0; i < 10; ++i) put(memory, made(50'000, i));
    const QueueMemory::Census census = memory.census();
    return census.all == census.spare + census.chained || memory.control().needs_repair == 1;
  }};
  EXPECT_EQ(child.join(), 0);
}

TEST(QueueMemory, WithoutDescriptorsOrMemoryNoneIsMade) {
  Child child{[] {
    const rlimit small{4096, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &small);
    try {
      QueueMemory memory{{}};
      return false;
    } catch (const OSError& error) {
      if (error.errno_value() != EFBIG) return false;
    }
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_NOFILE, &none);
    try {
      QueueMemory memory{{}};
      return false;
    } catch (const OSError& error) {
      return error.errno_value() == EMFILE;
    }
  }};
  EXPECT_EQ(child.join(), 0);
}

}  // namespace
}  // namespace weft::test
