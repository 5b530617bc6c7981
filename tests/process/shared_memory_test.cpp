#include <weft/process/shared_memory.hpp>

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>

#include "process/python_script.hpp"
#include "support/in_child.hpp"

namespace weft::test {
namespace {

using process::Incoming;
using process::Outgoing;
using process::SharedMemory;
using process::Transfer;

/// Of this test program, and of no other that runs.
std::string own_name(const std::string& what) { return "weft-test-" + std::to_string(::getpid()) + "-" + what; }

bool is_there(const std::string& name) { return ::access(("/dev/shm/" + name).c_str(), F_OK) == 0; }

template <class Failure>
std::optional<std::string> message_of(auto call) {
  try {
    call();
  } catch (const Failure& failure) {
    return failure.what();
  }
  return std::nullopt;
}

int error_of(auto call) {
  try {
    call();
  } catch (const OSError& error) {
    return error.errno_value();
  }
  return 0;
}

SharedMemory sent(const SharedMemory& memory) {
  Outgoing out;
  Transfer<SharedMemory>::send(out, memory);
  Incoming in{out.bytes(), out.take_descriptors()};
  return Transfer<SharedMemory>::receive(in);
}

void set_text(const SharedMemory& memory, const char* text) { std::memcpy(memory.data(), text, std::strlen(text) + 1); }
std::string text_of(const SharedMemory& memory) { return reinterpret_cast<const char*>(memory.data()); }

TEST(SharedMemory, AnonymousIsZeroAndOfTheSizeAskedFor) {
  const SharedMemory memory{10'001};
  EXPECT_EQ(memory.size(), 10'001U);
  EXPECT_EQ(memory.buffer().size(), 10'001U);
  EXPECT_TRUE(memory.name().empty());
  for (const std::byte byte : memory.buffer()) ASSERT_EQ(byte, std::byte{0});
}

TEST(SharedMemory, AChildOfForkSeesTheSameMemory) {
  const SharedMemory memory{4096};
  set_text(memory, "from the parent");
  EXPECT_EQ(in_child([&] {
              if (text_of(memory) != "from the parent") return 1;
              set_text(memory, "from the child");
              return 0;
            }),
            0);
  EXPECT_EQ(text_of(memory), "from the child");
}

TEST(SharedMemory, CopiesAreTheSameMemoryWhichLivesAsLongAsOneOfThem) {
  SharedMemory first{4096};
  SharedMemory second = first;
  set_text(first, "kept");
  first.close();
  EXPECT_EQ(first.size(), 0U);
  EXPECT_EQ(first.descriptor(), -1);
  EXPECT_FALSE(first);
  EXPECT_EQ(text_of(second), "kept");
  first.close();  // again: nothing
}

TEST(SharedMemory, IsSentWithItsDescriptor) {
  SharedMemory memory{4096};
  const SharedMemory there = sent(memory);
  set_text(there, "written by the receiver");
  EXPECT_NE(there.data(), memory.data());
  EXPECT_EQ(text_of(memory), "written by the receiver");
  memory.close();
  EXPECT_EQ(text_of(there), "written by the receiver");
  EXPECT_THROW((void)sent(memory), InvalidStateError);
}

TEST(SharedMemory, ThatIsSentKeepsItsName) {
  const std::string name = own_name("sent");
  SharedMemory memory = SharedMemory::create(name, 4096);
  memory.unlink();
  EXPECT_EQ(sent(memory).name(), name);  // the descriptor is all that is needed
}

TEST(SharedMemory, AReceivedDescriptorThatIsTooSmallIsRefused) {
  const SharedMemory memory{4096};
  Outgoing out;
  const std::uint64_t sizes[] = {4097, 0};
  out.attach(memory.descriptor());
  out.write(sizes, sizeof sizes);
  Incoming in{out.bytes(), out.take_descriptors()};
  EXPECT_THROW((void)Transfer<SharedMemory>::receive(in), ProtocolError);
}

TEST(SharedMemory, NobodyCanCutAnonymousMemory) {
  const SharedMemory memory{8192};
  EXPECT_EQ(::ftruncate(memory.descriptor(), 0), -1);
  EXPECT_EQ(errno, EPERM);
}

TEST(SharedMemory, IsFoundByItsNameWithOrWithoutASlash) {
  const std::string name = own_name("named");
  SharedMemory memory = SharedMemory::create("/" + name, 10'001);
  EXPECT_EQ(memory.name(), name);
  EXPECT_EQ(memory.size(), 10'001U);
  EXPECT_EQ(in_child([&] {
              const SharedMemory there = SharedMemory::attach(name);
              set_text(there, "by name");
              return there.size() == 10'001U ? 0 : 1;
            }),
            0);
  EXPECT_EQ(text_of(memory), "by name");
  EXPECT_EQ(text_of(SharedMemory::attach("/" + name)), "by name");
  memory.unlink();
  EXPECT_FALSE(is_there(name));
  EXPECT_EQ(text_of(memory), "by name");
  memory.unlink();  // again: nothing
}

TEST(SharedMemory, IsTheUsersAloneUnlessToldOtherwise) {
  SharedMemory memory = SharedMemory::create(own_name("mode"), 1);
  struct stat about {};
  ASSERT_EQ(::fstat(memory.descriptor(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777U, 0600U);
  memory.unlink();
}

TEST(SharedMemory, MakesUpNamesAsPythonDoes) {
  SharedMemory first = SharedMemory::create("", 1);
  SharedMemory second = SharedMemory::create("", 1);
  EXPECT_TRUE(std::regex_match(first.name(), std::regex{"psm_[0-9a-f]{8}"})) << first.name();
  EXPECT_NE(first.name(), second.name());
  first.unlink();
  second.unlink();
}

TEST(SharedMemory, TwoThatCreateOneNameAreToldSo) {
  const std::string name = own_name("twice");
  SharedMemory memory = SharedMemory::create(name, 4096);
  set_text(memory, "the first one's");
  // From another program as from this one.
  EXPECT_EQ(in_child([&] { return error_of([&] { (void)SharedMemory::create(name, 1); }); }), EEXIST);
  const auto message = message_of<OSError>([&] { (void)SharedMemory::create(name, 1); });
  ASSERT_TRUE(message);
  EXPECT_NE(message->find('"' + name + '"'), std::string::npos) << *message;
  EXPECT_NE(message->find("File exists"), std::string::npos) << *message;
  EXPECT_EQ(text_of(memory), "the first one's");
  EXPECT_EQ(memory.size(), 4096U);
  memory.unlink();
}

// Large enough to be given its pages in several steps.
TEST(SharedMemory, WhoAttachesWhileItIsMadeGetsTheWholeOrNothing) {
  constexpr std::size_t kSize = (std::size_t{40} << 20) + 100;
  const std::string name = own_name("being-made");
  std::atomic<bool> made{false};
  std::thread other{[&] {
    while (!made) {
      try {
        EXPECT_EQ(SharedMemory::attach(name).size(), kSize);
      } catch (const OSError&) {  // not there yet, or without a byte
      }
    }
  }};
  SharedMemory memory = SharedMemory::create(name, kSize);
  made = true;
  other.join();
  EXPECT_EQ(SharedMemory::attach(name).size(), kSize);
  memory.unlink();
}

TEST(SharedMemory, ANameThatIsNotThereIsToldSo) {
  const std::string name = own_name("missing");
  const auto message = message_of<OSError>([&] { (void)SharedMemory::attach(name); });
  ASSERT_TRUE(message);
  EXPECT_NE(message->find('"' + name + '"'), std::string::npos) << *message;
  EXPECT_NE(message->find("No such file"), std::string::npos) << *message;
  EXPECT_FALSE(SharedMemory::unlink(name));
}

TEST(SharedMemory, WhatIsNoNameOrNoSizeIsRefused) {
  for (const std::string& name : {std::string{"/"}, std::string{"a/b"}, std::string{".."}, std::string(256, 'x'), std::string{"a\0b", 3}})
    EXPECT_THROW((void)SharedMemory::create(name, 1), std::invalid_argument) << name;
  EXPECT_THROW((void)SharedMemory::attach(""), std::invalid_argument);
  EXPECT_THROW(SharedMemory{0}, std::invalid_argument);
  EXPECT_THROW((void)SharedMemory::create(own_name("empty"), 0), std::invalid_argument);
  EXPECT_FALSE(is_there(own_name("empty")));
}

TEST(SharedMemory, ANameEndsWithItsCreator) {
  const std::string gone = own_name("gone");
  const std::string kept = own_name("kept");
  EXPECT_EQ(in_child([&]() -> int {
              (void)SharedMemory::create(gone, 1);
              (void)SharedMemory::create(kept, 1, {.keep = true});
              std::exit(0);
            }),
            0);
  EXPECT_FALSE(is_there(gone));
  EXPECT_TRUE(is_there(kept));
  EXPECT_TRUE(SharedMemory::unlink(kept));
}

TEST(SharedMemory, ANameDoesNotEndWithAChildOfItsCreator) {
  SharedMemory memory = SharedMemory::create(own_name("parent"), 1);
  EXPECT_EQ(in_child([&]() -> int { std::exit(0); }), 0);
  EXPECT_TRUE(is_there(memory.name()));
  memory.unlink();
}

TEST(SharedMemory, ANameThatAnotherTookMeanwhileDoesNotEndWithItsFirstCreator) {
  const std::string name = own_name("reused");
  EXPECT_EQ(in_child([&]() -> int {
              (void)SharedMemory::create(name, 1);
              const int other = in_child([&] {
                (void)SharedMemory::unlink(name);
                (void)SharedMemory::create(name, 1, {.keep = true});
                return 0;
              });
              if (other != 0) return other;
              std::exit(0);
            }),
            0);
  EXPECT_TRUE(is_there(name));
  EXPECT_TRUE(SharedMemory::unlink(name));
}

TEST(SharedMemory, IsSeenAsWhatTheCallerSays) {
  struct Point {
    std::int32_t x, y;
  };
  const SharedMemory memory{100};
  EXPECT_EQ(memory.as<Point>().size(), 12U);
  EXPECT_EQ(memory.as<Point>(8).size(), 11U);
  EXPECT_EQ(memory.as<Point>(4, 2).size(), 2U);
  memory.as<Point>(8)[0] = {1, 2};
  EXPECT_EQ(memory.as<const std::int32_t>(12)[0], 2);
  EXPECT_EQ(memory.as<double>(96).size(), 0U);
  EXPECT_THROW((void)memory.as<Point>(0, 13), std::out_of_range);
  EXPECT_THROW((void)memory.as<Point>(101), std::out_of_range);
  EXPECT_THROW((void)memory.as<Point>(2), std::invalid_argument);
  EXPECT_THROW((void)SharedMemory{}.as<int>(0, 1), std::out_of_range);
}

TEST(SharedMemory, MoreThanTheMachineHasIsAnErrorAtOnce) {
  for (const std::size_t size : {std::size_t{1} << 42, ~std::size_t{0}}) {
    const auto anonymous = message_of<OSError>([&] { (void)SharedMemory{size}; });
    ASSERT_TRUE(anonymous);
    EXPECT_NE(anonymous->find("anonymous shared memory"), std::string::npos) << *anonymous;
    const std::string name = own_name("huge");
    const auto named = message_of<OSError>([&] { (void)SharedMemory::create(name, size); });
    ASSERT_TRUE(named);
    EXPECT_NE(named->find('"' + name + '"'), std::string::npos) << *named;
    EXPECT_FALSE(is_there(name));
  }
}

// The child has a /dev/shm of its own, of 1 MiB.
TEST(SharedMemory, AFullDevShmIsAnErrorWhenMemoryIsMade) {
  constexpr int kCannotMount = 77;
  const int end = in_child([] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1m") != 0)
      return kCannotMount;
    SharedMemory first = SharedMemory::create("first", 700'000);
    const auto message = message_of<OSError>([] { (void)SharedMemory::create("second", 700'000); });
    if (!message || message->find("\"second\"") == std::string::npos || message->find("No space left") == std::string::npos ||
        message->find("/dev/shm") == std::string::npos)
      return 1;
    if (is_there("second")) return 2;
    std::memset(first.data(), 1, first.size());  // was reserved
    if (error_of([] { (void)SharedMemory::create("third", 1); }) != 0) return 3;
    std::memset(SharedMemory{4 << 20}.data(), 1, 4 << 20);  // anonymous memory is elsewhere
    first.unlink();
    first.close();
    return error_of([] { (void)SharedMemory::create("fourth", 700'000); });
  });
  if (end == kCannotMount) GTEST_SKIP() << "only root can mount a small /dev/shm";
  EXPECT_EQ(end, 0);
}

// Without it a file cannot be given a name after it was made.
TEST(SharedMemory, IsMadeInStepsWhereThereIsNoProc) {
  constexpr int kCannotMount = 77;
  const std::string name = own_name("no-proc");
  const int end = in_child([&]() -> int {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", "/proc", "tmpfs", 0, nullptr) != 0)
      std::exit(kCannotMount);
    const SharedMemory memory = SharedMemory::create(name, 700'000);
    set_text(memory, "whole");
    if (text_of(SharedMemory::attach(name)) != "whole" || memory.name() != name) std::exit(1);
    if (error_of([&] { (void)SharedMemory::create(name, 1); }) != EEXIST) std::exit(2);
    const SharedMemory made_up = SharedMemory::create("", 1);
    if (made_up.name().size() != 12 || !is_there(made_up.name())) std::exit(3);
    if (error_of([&] { (void)SharedMemory::create(name + "-large", std::size_t{1} << 50); }) == 0 || is_there(name + "-large")) std::exit(4);
    std::exit(0);
  });
  if (end == kCannotMount) GTEST_SKIP() << "only root can hide /proc";
  EXPECT_EQ(end, 0);
  EXPECT_FALSE(is_there(name));
}

TEST(SharedMemory, ANameThatIsTakenIsStillItsCreatorsWhenHeTriesToMakeItAgain) {
  const std::string name = own_name("twice");
  EXPECT_EQ(in_child([&]() -> int {
              (void)SharedMemory::create(name, 1);
              if (error_of([&] { (void)SharedMemory::create(name, 1); }) != EEXIST) return 1;
              std::exit(0);
            }),
            0);
  EXPECT_FALSE(is_there(name));
}

// The name is found to be taken at last: what was noted of it for the new file is struck out, and not what was noted of the old one.
TEST(SharedMemory, ANameThatIsTakenAtTheLastMomentIsStillItsCreators) {
  const std::string name = own_name("late");
  const std::string path = "/dev/shm/" + name;
  EXPECT_EQ(in_child([&]() -> int {
              (void)SharedMemory::create(name, 1);
              // A link to nowhere is no file, but a name.
              if (::rename(path.c_str(), (path + "-aside").c_str()) != 0 || ::symlink("/nowhere/at/all", path.c_str()) != 0) std::exit(1);
              const int error = error_of([&] { (void)SharedMemory::create(name, 1); });
              if (::unlink(path.c_str()) != 0 || ::rename((path + "-aside").c_str(), path.c_str()) != 0) std::exit(2);
              std::exit(error == EEXIST ? 0 : 3);
            }),
            0);
  EXPECT_FALSE(is_there(name));
}

TEST(SharedMemory, NoDescriptorLeftIsAnErrorThatNamesTheMemory) {
  EXPECT_EQ(in_child([] {
              const rlimit none{3, 3};
              if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return 1;
              const auto anonymous = message_of<OSError>([] { (void)SharedMemory{4096}; });
              const auto named = message_of<OSError>([] { (void)SharedMemory::create("weft-test-none", 4096); });
              if (!anonymous || anonymous->find("Too many open files") == std::string::npos) return 2;
              if (!named || named->find("weft-test-none") == std::string::npos) return 3;
              return is_there("weft-test-none") ? 4 : 0;
            }),
            0);
}

TEST(SharedMemory, LeavesNeitherDescriptorsNorMappings) {
  const auto descriptors = [] {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(fd);
    return fd;
  };
  SharedMemory::create("", 1).unlink();  // the first one starts the keeper of names, to which there is a descriptor
  const int before = descriptors();
  for (int i = 0; i < 100; ++i) {
    SharedMemory memory{4096};
    const SharedMemory there = sent(memory);
    SharedMemory named = SharedMemory::create("", 1);
    named.unlink();
  }
  EXPECT_EQ(descriptors(), before);
}

// ---- with Python ------------------------------------------------------------------------------------------------------

TEST(SharedMemoryWithPython, PythonAttachesToMemoryOfWeft) {
  PythonScript python{"shared.py"};
  SharedMemory memory = SharedMemory::create("", 10'001);
  set_text(memory, "ABCDEFG");
  EXPECT_EQ(python.ask("memory " + memory.name()), "10001 4142434445464700");
  EXPECT_EQ(std::memcmp(memory.data() + memory.size() - 11, "from python", 11), 0);
  EXPECT_EQ(python.finish(), 0);
  EXPECT_TRUE(is_there(memory.name()));  // as the script asked of its resource tracker
  memory.unlink();
}

TEST(SharedMemoryWithPython, WeftAttachesToMemoryOfPython) {
  PythonScript python{"shared.py"};
  const std::string name = python.ask("make-memory 12345");
  const SharedMemory memory = SharedMemory::attach(name);
  EXPECT_EQ(memory.size(), 12'345U);
  EXPECT_EQ(memory.buffer().back(), std::byte{7});
  EXPECT_EQ(python.ask("unlink " + name), "unlinked");
  EXPECT_EQ(memory.buffer().back(), std::byte{7});
  EXPECT_EQ(error_of([&] { (void)SharedMemory::attach(name); }), ENOENT);
}

TEST(SharedMemoryWithPython, PythonIsToldThatANameIsTakenOrMissing) {
  PythonScript python{"shared.py"};
  EXPECT_EQ(python.ask("memory " + own_name("nowhere")).substr(0, 17), "FileNotFoundError");
}

}  // namespace
}  // namespace weft::test
