// Names in /dev/shm do not outlive their creator, however he ends: a keeper, a process of its own, removes them.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/process/shareable_list.hpp>
#include <weft/process/shared_memory.hpp>

#include "process/children.hpp"
#include "process/memory/name_keeper.hpp"
#include "support/eventually.hpp"
#include "support/in_child.hpp"

namespace weft::test {
namespace {

namespace fs = std::filesystem;
using process::SharedMemory;

/// Of this test program, and of no other that runs.
std::string own_name(const std::string& what) { return "weft-test-" + std::to_string(::getpid()) + "-" + what; }

bool is_there(const std::string& name) { return ::access(("/dev/shm/" + name).c_str(), F_OK) == 0; }
bool vanishes(const std::string& name) {
  return eventually([&] { return !is_there(name); });
}

/// 0: there is none.
pid_t keeper_of(pid_t creator) {
  const std::string title = "weft-keeper: removes shared memory of " + std::to_string(creator);
  for (const fs::directory_entry& entry : fs::directory_iterator{"/proc"}) {
    const std::string pid = entry.path().filename();
    if (!std::all_of(pid.begin(), pid.end(), ::isdigit)) continue;
    std::ifstream command{entry.path() / "cmdline"};
    std::string first;
    if (std::getline(command, first, '\0') && first == title) return std::stoi(pid);
  }
  return 0;
}

bool ends(pid_t pid) {
  return eventually([&] { return !process_exists(pid); });
}

/// Nothing: there can be one.
std::string why_there_is_no_keeper() {
  if (!process::detail::NameKeeper::is_built()) return "built without";
  std::ifstream setting{"/proc/sys/vm/memfd_noexec"};
  int forbids = 0;
  return setting >> forbids && forbids == 2 ? "memory must not be executed here" : "";
}

class NameKeeper : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_there_is_no_keeper(); !why.empty()) GTEST_SKIP() << why;
  }
};

/// What the end of a creator is like.
class NamesOfACreator : public NameKeeper, public testing::WithParamInterface<int> {};

TEST_P(NamesOfACreator, VanishWhenASignalEndsIt) {
  const std::string name = own_name("of-one-killed");
  const std::string list = own_name("list-of-one-killed");
  const std::string kept = own_name("kept-by-one-killed");
  EXPECT_EQ(in_child([&] {
              (void)SharedMemory::create(kept, 1, {.keep = true});
              (void)SharedMemory::create(name, 1);
              (void)process::ShareableList::create(list, {1, 2});
              if (!is_there(name) || !is_there(list)) return 1;
              ::signal(GetParam(), SIG_DFL);
              return ::raise(GetParam());
            }),
            -GetParam());
  EXPECT_TRUE(vanishes(name));
  EXPECT_TRUE(vanishes(list));
  EXPECT_TRUE(is_there(kept));
  EXPECT_TRUE(SharedMemory::unlink(kept));
}

INSTANTIATE_TEST_SUITE_P(Signals, NamesOfACreator, testing::Values(SIGKILL, SIGINT, SIGTERM, SIGHUP),
                         [](const auto& one) { return std::string{::sigabbrev_np(one.param)}; });

TEST_F(NameKeeper, RemovesManyNames) {
  constexpr int kNames = 500;
  const std::string name = own_name("many-");
  EXPECT_EQ(in_child([&] {
              for (int i = 0; i < kNames; ++i) (void)SharedMemory::create(name + std::to_string(i), 1);
              for (int i = 0; i < kNames; i += 2) (void)SharedMemory::unlink(name + std::to_string(i));
              for (int i = 0; i < kNames; i += 4) (void)SharedMemory::create(name + std::to_string(i), 1);
              return ::raise(SIGKILL);
            }),
            -SIGKILL);
  for (int i = 0; i < kNames; ++i) EXPECT_TRUE(vanishes(name + std::to_string(i))) << i;
}

TEST_F(NameKeeper, HandlesTheLongestName) {
  const std::string name = own_name(std::string(255 - own_name("").size(), 'x'));
  ASSERT_EQ(name.size(), 255U);
  EXPECT_EQ(in_child([&] {
              (void)SharedMemory::create(name, 1);
              return ::raise(SIGKILL);
            }),
            -SIGKILL);
  EXPECT_TRUE(vanishes(name));
}

TEST_F(NameKeeper, DoesNotRemoveWhatOthersMadeUnderTheName) {
  const std::string taken = own_name("taken");
  const std::string last = own_name("last");
  EXPECT_EQ(in_child([&] {
              (void)SharedMemory::create(taken, 1);
              (void)SharedMemory::create(last, 1);
              const int other = in_child([&] {
                (void)SharedMemory::unlink(taken);
                (void)SharedMemory::create(taken, 1, {.keep = true});
                return 0;
              });
              return other != 0 ? other : ::raise(SIGKILL);
            }),
            -SIGKILL);
  EXPECT_TRUE(vanishes(last));  // which comes after the other
  EXPECT_TRUE(is_there(taken));
  EXPECT_TRUE(SharedMemory::unlink(taken));
}

// The end of a child that was forked later is not the end of its parent's names, nor does a child that goes on put it off.
TEST_F(NameKeeper, WaitsForTheEndOfTheCreatorAlone) {
  const std::string name = own_name("of-a-parent");
  int stay[2];
  ASSERT_EQ(::pipe2(stay, O_CLOEXEC), 0);
  EXPECT_EQ(in_child([&] {
              ::close(stay[1]);
              (void)SharedMemory::create(name, 1);
              const pid_t keeper = keeper_of(::getpid());
              if (keeper == 0) return 1;
              if (in_child([] { return ::raise(SIGKILL); }) != -SIGKILL) return 2;
              ::usleep(50'000);
              if (!is_there(name) || keeper_of(::getpid()) != keeper) return 3;
              char byte = 0;
              if (start_child([&] { return static_cast<int>(::read(stay[0], &byte, 1)); }) < 0) return 4;
              return ::raise(SIGKILL);
            }),
            -SIGKILL);
  EXPECT_TRUE(vanishes(name));
  ::close(stay[1]);
  ::close(stay[0]);
}

TEST_F(NameKeeper, OfWhichOneWasKilledIsReplacedAndKnowsAllNames) {
  const std::string early = own_name("early");
  const std::string late = own_name("late");
  EXPECT_EQ(in_child([&] {
              (void)SharedMemory::create(early, 1);
              const pid_t first = keeper_of(::getpid());
              if (first == 0 || ::kill(first, SIGKILL) != 0 || !ends(first)) return 1;
              (void)SharedMemory::create(late, 1);
              return ::raise(SIGKILL);
            }),
            -SIGKILL);
  EXPECT_TRUE(vanishes(early));
  EXPECT_TRUE(vanishes(late));
  EXPECT_TRUE(vanishes(late + "st"));
}

// It is in nobody's way: no child that could be waited for, no signal of the terminal's, no descriptor that keeps others from the end of
// what they read, hardly any memory; and it ends with its creator.
TEST_F(NameKeeper, IsNotNoticed) {
  const std::string name = own_name("unnoticed");
  int news[2];
  ASSERT_EQ(::pipe2(news, 0), 0);
  EXPECT_EQ(in_child([&] {
              (void)SharedMemory::create(name, 1);
              const pid_t keeper = keeper_of(::getpid());
              if (keeper == 0) return 1;
              if (::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD) return 2;
              if (::getpgid(keeper) == ::getpgrp()) return 3;
              const fs::path itself = "/proc/" + std::to_string(keeper);
              const auto has_its_own_only = [&] {
                int descriptors = 0;
                for (const fs::directory_entry& entry : fs::directory_iterator{itself / "fd"}) {
                  std::error_code closed;
                  const std::string where = fs::read_symlink(entry.path(), closed);
                  if (!where.starts_with("socket:") && where.find("weft-keeper") == std::string::npos) return false;
                  ++descriptors;
                }
                return descriptors == 2 && fs::read_symlink(itself / "cwd") == "/";
              };
              if (!eventually(has_its_own_only)) return 4;
              std::ifstream sizes{itself / "statm"};
              long all = 0, resident = 0;
              if (!(sizes >> all >> resident) || resident > 16) return 5;
              if (::write(news[1], &keeper, sizeof keeper) != sizeof keeper) return 6;
              return ::raise(SIGKILL);
            }),
            -SIGKILL);
  ::close(news[1]);
  pid_t keeper = 0;
  EXPECT_EQ(::read(news[0], &keeper, sizeof keeper), static_cast<ssize_t>(sizeof keeper));
  EXPECT_TRUE(ends(keeper));
  EXPECT_FALSE(is_there(name));
  ::close(news[0]);
}

// Each has one of its own, however many have begun before it.
TEST_F(NameKeeper, IsHadByEachOfAChainOfForks) {
  const std::string name = own_name("chain-");
  const std::function<int(int)> link = [&](int number) {
    (void)SharedMemory::create(name + std::to_string(number), 1);
    if (keeper_of(::getpid()) == 0) return 100 + number;
    const int next = number < 8 ? in_child([&] { return link(number + 1); }) : -SIGKILL;
    return next == -SIGKILL ? ::raise(SIGKILL) : next;
  };
  EXPECT_EQ(in_child([&] { return link(0); }), -SIGKILL);
  for (int i = 0; i <= 8; ++i) EXPECT_TRUE(vanishes(name + std::to_string(i))) << i;
}

TEST_F(NameKeeper, IsNotStartedForWhatIsKept) {
  EXPECT_EQ(in_child([&] {
              SharedMemory kept = SharedMemory::create(own_name("kept"), 1, {.keep = true});
              const bool none = keeper_of(::getpid()) == 0;
              kept.unlink();
              return none ? 0 : 1;
            }),
            0);
}

// It would be adopted by its creator, who may wait for all children.
TEST_F(NameKeeper, IsNotStartedByWhoAdoptsOrphans) {
  const std::string name = own_name("of-a-subreaper");
  EXPECT_EQ(in_child([&]() -> int {
              if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return 1;
              (void)SharedMemory::create(name, 1);
              if (keeper_of(::getpid()) != 0) return 2;
              if (::waitpid(-1, nullptr, 0) != -1 || errno != ECHILD) return 3;
              std::exit(0);
            }),
            0);
  EXPECT_FALSE(is_there(name));
}

// As a daemon may do that closes all descriptors it knows nothing of. What then has the number is not written to.
TEST_F(NameKeeper, IsReplacedWhenItsSocketWasClosed) {
  const std::string early = own_name("before-closing");
  const std::string late = own_name("after-closing");
  EXPECT_EQ(in_child([&] {
              const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
              ::close(next);
              (void)SharedMemory::create(early, 1);
              if (::close_range(static_cast<unsigned>(next), ~0U, 0) != 0 || !vanishes(early)) return 1;
              int ends[2];
              if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0) return 2;
              for (int i = 0; i < 10; ++i) (void)::dup(ends[0]);
              SharedMemory memory = SharedMemory::create(late, 1);
              char byte = 0;
              if (::recv(ends[1], &byte, 1, 0) != -1 || errno != EAGAIN) return 3;
              if (!is_there(late) || keeper_of(::getpid()) == 0) return 4;
              // Nor is it closed, by a child either.
              if (::close_range(static_cast<unsigned>(next), ~0U, 0) != 0) return 5;
              std::vector<int> own;
              for (int i = 0; i < 20; ++i) own.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
              const auto all_open = [&] { return std::all_of(own.begin(), own.end(), [](int fd) { return ::fcntl(fd, F_GETFD) >= 0; }); };
              if (in_child([&] { return all_open() ? 0 : 1; }) != 0 || !all_open()) return 6;
              (void)SharedMemory::create(late + "st", 1);
              return ::raise(SIGKILL);
            }),
            -SIGKILL);
  EXPECT_TRUE(vanishes(late));
  EXPECT_TRUE(vanishes(late + "st"));
}

TEST_F(NameKeeper, RemovesTheNamesOfWhoBecomesAnotherProgram) {
  const std::string name = own_name("of-one-no-more");
  EXPECT_EQ(in_child([&] {
              (void)SharedMemory::create(name, 1);
              ::execl("/bin/true", "true", nullptr);
              return 1;
            }),
            0);
  EXPECT_TRUE(vanishes(name));
}

// Where none can be started, here for want of descriptors, names are as good as ever while their creator lives, and end with exit().
TEST_F(NameKeeper, IsNotNeeded) {
  const std::string name = own_name("unkept");
  EXPECT_EQ(in_child([&]() -> int {
              const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
              ::close(next);
              rlimit before{};
              if (::getrlimit(RLIMIT_NOFILE, &before) != 0) return 1;
              const rlimit one{static_cast<rlim_t>(next) + 1, before.rlim_max};
              if (::setrlimit(RLIMIT_NOFILE, &one) != 0) return 2;
              (void)SharedMemory::create(name, 1);
              if (::setrlimit(RLIMIT_NOFILE, &before) != 0) return 3;
              if (!is_there(name) || keeper_of(::getpid()) != 0) return 4;
              std::exit(0);
            }),
            0);
  EXPECT_FALSE(is_there(name));
}

}  // namespace
}  // namespace weft::test
