// Bad days of processes, and how the programs end that start them.

#include <linux/capability.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <cctype>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/sync/event.hpp>
#include <weft/thread/thread.hpp>

#include "port/passed_descriptors.hpp"
#include "process/children.hpp"
#include "support/in_child.hpp"
#include "support/paths.hpp"
#include "support/program.hpp"
#include "support/stress.hpp"
#include "support/use_stack.hpp"

namespace weft::test {
namespace {

using ProcessEnds = EachStartMethod;
INSTANTIATE_TEST_SUITE_P(Methods, ProcessEnds, kAllMethods, name_of_method);

std::string text_of(StartMethod method) { return std::string{process::to_string(method)}; }

// ---- programs --------------------------------------------------------------------------------------------------------------

TEST(ProcessPrograms, WithoutTheLineInMainAreToldSoBeforeAnythingIsStarted) {
  const ProgramResult result = run_program("process_ends", {"no-main-line"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(count_of(result.output, "weft::process::main(argc, argv);"), 2) << result.output;
  EXPECT_EQ(count_of(result.output, "fork needs none"), 1) << result.output;
}

TEST(ProcessPrograms, AreRefusedByAForkServerWithASecondThread) {
  if (under_thread_sanitizer()) GTEST_SKIP() << "ThreadSanitizer has a thread of its own, so threads are not counted there";
  const ProgramResult result = run_program("process_ends", {"early-thread"});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(count_of(result.output, "the fork server has 2 threads"), 1) << result.output;
}

TEST(ProcessPrograms, DestroyStaticObjectsInTheParentOnly) {
  EXPECT_EQ(run_program("process_ends", {"statics"}).output, "child\nparent\nstatic object destroyed\n");
}

TEST(ProcessPrograms, OfAForkedChildThatCallsExitDestroyOnlyItsOwnStaticObjects) {
  EXPECT_EQ(run_program("process_ends", {"exit-in-child"}).output,
            "child\nstatic object destroyed\nparent saw 3\nstatic object destroyed\n");
}

TEST(ProcessPrograms, EndThoughHandlesAreClosedMeanwhile) {
  const ProgramResult result = run_program("process_ends", {"closed-while-ending"}, 20s);
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.exit_code, 0) << result.output;
}

TEST(ProcessPrograms, EndThoughADaemonDoesNotHeedThem) {
  const ProgramResult result = run_program("process_ends", {"stubborn-daemon"});
  EXPECT_EQ(result.exit_code, 0);
  ASSERT_EQ(result.output.substr(0, 4), "pid ");
  EXPECT_FALSE(process_exists(std::stoi(result.output.substr(4))));
}

TEST(ProcessPrograms, EndWithTheWorkersOfAPoolAndNoOthersComeInTheirPlace) {
  const ProgramResult result = run_program("process_ends", {"kept-pool"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.output, "worker\nworker\n");
}

TEST_P(ProcessEnds, OfDaemonsAreWithMainAndOthersAreWaitedForBeforeStaticObjectsGo) {
  const ProgramResult result = run_program("process_ends", {"end-of-main", text_of(GetParam())});
  EXPECT_EQ(result.exit_code, 7) << result.output;
  std::string rest = result.output;
  const auto at = rest.find("pid ");
  if (at != std::string::npos) {  // a daemon that had no time to begin says nothing
    const int daemon = std::stoi(rest.substr(at + 4));
    EXPECT_FALSE(process_exists(daemon));
    rest.erase(at, rest.find('\n', at) - at + 1);
  }
  EXPECT_EQ(count_of(rest, "child ends\n"), 2) << rest;
  EXPECT_EQ(count_of(rest, "main returns\n"), 1) << rest;
  EXPECT_EQ(count_of(rest, "thread ends\n"), 1) << rest;
  EXPECT_TRUE(rest.ends_with("static object destroyed\n")) << rest;
}

TEST_P(ProcessEnds, WriteWhatStandardOutputHeldOnce) {
  const std::string output = run_program("process_ends", {"buffered", text_of(GetParam())}).output;
  EXPECT_EQ(output, GetParam() == StartMethod::Fork ? "once twice twice " : "once twice ");
}

TEST_P(ProcessEnds, WriteWhatStandardOutputHeldOnceWhateverBufferItHas) {
  for (const char* mode : {"buffered-by-cout", "hidden-by-cout"}) {
    EXPECT_EQ(run_program("process_ends", {mode, text_of(GetParam())}).output, "parent child parent ") << mode;
  }
}

TEST_P(ProcessEnds, AreReportedAtTheDescriptorLimit) {
  const ProgramResult result = run_program("process_ends", {"no-descriptors", text_of(GetParam())});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_TRUE(result.output.ends_with("fine\n")) << result.output;
}

TEST_P(ProcessEnds, OfChildrenComeByCtrlCAndTheForkServerOutlivesIt) {
  const ProgramResult result = run_program("process_ends", {"interrupted", text_of(GetParam())});
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_NE(result.output.find("child ended with -2\nanother with 0\n"), std::string::npos) << result.output;
}

/// A program in a pipe, to be killed.
class Doomsday {
 public:
  explicit Doomsday(std::vector<std::string> arguments) {
    const std::string path = build_dir() + "/tests/programs/process_ends";
    std::vector<char*> argv{const_cast<char*>(path.c_str())};
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, output.writing.get(), STDOUT_FILENO);
    EXPECT_EQ(::posix_spawn(&pid, path.c_str(), &actions, nullptr, argv.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
    output.writing.reset();
  }
  Doomsday(const Doomsday&) = delete;
  Doomsday& operator=(const Doomsday&) = delete;
  ~Doomsday() {
    if (pid <= 0) return;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }

  /// Pids that it tells of, by the word before them.
  [[nodiscard]] std::vector<pid_t> read_pids(const std::string& word, int count) {
    while (count_of(text, word + ' ') < count) {
      const std::string more = output.read_some();
      if (more.empty()) break;
      text += more;
    }
    std::vector<pid_t> pids;
    for (auto at = text.find(word + ' '); at != std::string::npos; at = text.find(word + ' ', at + 1)) {
      pids.push_back(std::stoi(text.substr(at + word.size() + 1)));
    }
    return pids;
  }

  Report output;
  std::string text;
  pid_t pid = -1;
};

// Grandchild, child, one that computes with all signals blocked, daemon; beside a child that is not weft's.
TEST_P(ProcessEnds, ComeWithTheParentsDeathAndLeaveNoOrphan) {
  Doomsday parent{{"orphans", text_of(GetParam())}};
  const std::vector<pid_t> pids = parent.read_pids("pid", 4);
  const std::vector<pid_t> others = parent.read_pids("other", 1);
  ASSERT_EQ(pids.size(), 4u) << parent.text;
  ASSERT_EQ(others.size(), 1u);
  for (const pid_t pid : pids) EXPECT_TRUE(process_exists(pid));
  ::kill(parent.pid, SIGKILL);
  for (const pid_t pid : pids) EXPECT_TRUE(eventually([&] { return !process_exists(pid); })) << pid;
  EXPECT_TRUE(process_exists(others[0]));
  ::kill(others[0], SIGKILL);
  EXPECT_EQ(parent.output.read_all().find("pid"), std::string::npos);  // the fork server, which had it open, has ended too
}

// ---- arguments ---------------------------------------------------------------------------------------------------------------

struct Refusing {
  bool sent = false;
  int value = 0;
  template <class Archive>
  void save(Archive& out) const {
    if (sent) throw std::runtime_error{"this value stays here"};
    out(value);
  }
  template <class Archive>
  void load(Archive& in) {
    in(value);
    throw std::runtime_error{"this value does not arrive"};
  }
};

TEST_P(ProcessEnds, AreNoneIfAnArgumentRefusesToBeSent) {
  if (GetParam() == StartMethod::Fork) GTEST_SKIP() << "nothing is sent";
  Process process = make([](const Refusing&) {}, Refusing{true, 1});
  EXPECT_THROW(process.start(), std::runtime_error);
  EXPECT_FALSE(process.is_alive());
  EXPECT_THROW(process.join(), InvalidStateError);
  EXPECT_THROW(process.start(), std::runtime_error);  // it may be tried again
}

TEST_P(ProcessEnds, AreWithOneIfAnArgumentRefusesToArrive) {
  if (GetParam() == StartMethod::Fork) GTEST_SKIP() << "nothing is sent";
  Process process = make([](const Refusing&) {}, Refusing{false, 1});
  process.start();
  process.join();
  EXPECT_EQ(process.exitcode(), 1);
}

// ---- the fork server ---------------------------------------------------------------------------------------------------------

pid_t parent_of(pid_t pid) {
  std::ifstream status{"/proc/" + std::to_string(pid) + "/status"};
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("PPid:")) return std::stoi(line.substr(5));
  }
  return 0;
}

class ForkServers : public testing::Test {
 protected:
  Report stay;
  Process start_one() {
    Process process{weft::forkserver, wait_for_go, OwnedFd::duplicate(stay.reading.get())};
    process.start();
    return process;
  }
};

TEST_F(ForkServers, ForkForTheirParentOnly) {
  Process process = start_one();
  const pid_t server = parent_of(process.pid());
  EXPECT_NE(server, ::getpid());
  EXPECT_EQ(parent_of(server), ::getpid());
  process.kill();
  process.join();
}

TEST_F(ForkServers, AreReplacedWhenKilledAndWhatTheyStartedRunsOn) {
  Process before = start_one();
  Process ending = start_one();
  const pid_t server = parent_of(before.pid());
  ASSERT_EQ(parent_of(server), ::getpid());
  ::kill(server, SIGKILL);
  ASSERT_TRUE(eventually([&] { return !process_exists(server); }));
  Process after = start_one();
  EXPECT_NE(parent_of(after.pid()), server);
  EXPECT_TRUE(before.is_alive() && after.is_alive());
  ending.kill();
  ending.join();
  // By the kernel, if it is new enough.
  EXPECT_TRUE(ending.exitcode() == -SIGKILL || ending.exitcode() == 255) << *ending.exitcode();
  stay.go(2);
  before.join();
  after.join();
  EXPECT_TRUE(before.exitcode() == 0 || before.exitcode() == 255) << *before.exitcode();
  EXPECT_EQ(after.exitcode(), 0);
  EXPECT_EQ(::waitpid(server, nullptr, WNOHANG), -1);  // no zombie
}

/// Sends descriptors to itself that nobody receives, until it is destroyed.
class OnTheirWay {
 public:
  explicit OnTheirWay(std::size_t count) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) != 0) return;
    from_.reset(ends[0]);
    to_.reset(ends[1]);
    const std::vector<int> descriptors(count, from_.get());
    port::PassedRoom room;
    iovec byte{const_cast<char*>("x"), 1};
    msghdr message{};
    message.msg_iov = &byte;
    message.msg_iovlen = 1;
    port::attach_descriptors(message, room, descriptors);
    sent = ::sendmsg(from_.get(), &message, 0) == 1;
  }
  bool sent = false;

 private:
  OwnedFd from_, to_;
};

// The kernel counts the descriptors on their way, for who may not exceed limits.
TEST_F(ForkServers, OutliveAMessageForWhichTheSystemHasNoRoom) {
  EXPECT_EQ(in_child([this] {
              __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
              const __user_cap_data_struct none[2]{};
              if (::syscall(SYS_capset, &header, none) != 0) return 2;
              Process before = start_one();
              const pid_t server = parent_of(before.pid());
              rlimit limit{};
              ::getrlimit(RLIMIT_NOFILE, &limit);
              limit.rlim_cur = 200;
              ::setrlimit(RLIMIT_NOFILE, &limit);
              // The kernel counts those of all processes of this user: other tests may have some on their way, before and after.
              {
                std::optional<OnTheirWay> many;
                if (!eventually([&] { return many.emplace(250).sent; })) return 3;
                try {
                  (void)start_one();
                  return 4;
                } catch (const OSError& error) {
                  if (error.errno_value() != ETOOMANYREFS) return 5;
                }
              }
              Process after{[] {}};
              const bool started = eventually([&] {
                try {
                  after = start_one();
                  return true;
                } catch (const OSError& error) {
                  if (error.errno_value() != ETOOMANYREFS) throw;
                  return false;
                }
              });
              return started && parent_of(after.pid()) == server ? 0 : 6;
            }),
            0);
}

/// Can be written down, but not sent.
struct HoldsWhatIsClosed {
  void save(process::Outgoing& out) const { out.attach(OwnedFd{1 << 20}); }
  void load(process::Incoming& in) { (void)in.take_descriptor(); }
};

/// Zombies, too.
int count_children_of(pid_t pid) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
    const std::string name = entry.path().filename();
    if (std::isdigit(static_cast<unsigned char>(name[0])) && parent_of(std::stoi(name)) == pid) ++count;
  }
  return count;
}

TEST_F(ForkServers, KeepNoZombieOfAChildThatCouldBeSentNothing) {
  Process before = start_one();
  const pid_t server = parent_of(before.pid());
  const int count = count_children_of(server);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THROW((Process{weft::forkserver, [](const HoldsWhatIsClosed&) {}, HoldsWhatIsClosed{}}.start()), OSError);
  }
  EXPECT_TRUE(eventually([&] { return count_children_of(server) <= count; }, 10s));
  EXPECT_EQ(parent_of(before.pid()), server);
  before.kill();
  before.join();
}

TEST_F(ForkServers, LeaveNoZombiesWhereTheKernelKeepsExitCodes) {
  utsname kernel{};
  int major = 0, minor = 0;
  ASSERT_EQ(::uname(&kernel), 0);
  ASSERT_EQ(std::sscanf(kernel.release, "%d.%d", &major, &minor), 2);
  if (std::pair{major, minor} < std::pair{6, 15}) GTEST_SKIP() << "Linux " << kernel.release;
  Process exited{weft::forkserver, [] { ::_exit(7); }};
  exited.start();
  Process killed = start_one();
  killed.kill();
  for (const pid_t pid : {exited.pid(), killed.pid()}) EXPECT_TRUE(eventually([&] { return ::kill(pid, 0) < 0; }));  // no zombie either
  EXPECT_EQ(exited.exitcode(), 7);
  EXPECT_EQ(killed.exitcode(), -SIGKILL);
}

TEST_F(ForkServers, ServeManyAtOnce) {
  std::vector<Fiber<int>> fibers;
  for (int i = 0; i < 20; ++i) {
    fibers.push_back(spawn([i] {
      Process process{weft::forkserver, [](int code) { ::_exit(code); }, i};
      process.start();
      process.join();
      return *process.exitcode();
    }));
  }
  for (int i = 0; i < 20; ++i) EXPECT_EQ(fibers[static_cast<std::size_t>(i)].get(), i);
}

// ---- fork from a busy program ------------------------------------------------------------------------------------------------

TEST(ForkedProcesses, AreFineBesideAThousandFibers) {
  std::atomic<bool> stop{false};
  std::atomic<long> rounds{0};
  std::vector<Fiber<void>> busy;
  for (int i = 0; i < 1000; ++i) {
    busy.push_back(spawn([&] {
      while (!stop) {
        const std::string text(100, 'x');  // the allocator is at work, too
        rounds += static_cast<long>(text.size()) / 100;
        yield();
      }
    }));
  }
  Event event;
  const auto start = [&] {
    Process process{fork, [&] {
                      std::string text(1000, 'y');
                      long sum = 0;
                      for (int i = 0; i < 10; ++i) sum += spawn([&, i] { return i + static_cast<long>(text.size()); }).get();
                      Thread thread{[&] { event.set(); }};
                      thread.start();
                      thread.join();
                      ::_exit(sum == 10'045 && event.is_set() ? 0 : 1);
                    }};
    process.start();
    process.join();
    return *process.exitcode();
  };
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(start(), 0);
    EXPECT_EQ(spawn(start).get(), 0);
  }
  stop = true;
  for (auto& fiber : busy) fiber.join();
  EXPECT_FALSE(event.is_set());
}

TEST(ForkedProcesses, OfAFiberHaveAStackOfFullSize) {
  const auto start = [] {
    Process process{fork, [] { use_stack(std::size_t{4} << 20); }};
    process.start();
    process.join();
    return *process.exitcode();
  };
  EXPECT_EQ(start(), 0);
  EXPECT_EQ(spawn(start).get(), 0);
}

TEST(ForkedProcesses, OfAFiberCarryClosuresAndReportExceptions) {
  Report report;
  const std::string text = "captured";
  const int code = spawn([&] {
                     Process process{fork, [&] {
                                       tell(report.writing, text);
                                       throw std::logic_error{"as it should"};
                                     }};
                     process.start();
                     process.join();
                     return *process.exitcode();
                   }).get();
  EXPECT_EQ(code, 1);
  EXPECT_EQ(report.read_all(), text);
}

TEST(ForkedProcesses, HaveTheirOwnChildrenAndNotTheirParents) {
  Report stay;
  Process sibling{fork, [&] { wait_for_go(stay.reading); }};
  sibling.start();
  Process process{fork, [&] {
                    if (!process::active_children().empty()) ::_exit(1);
                    try {
                      sibling.join();
                      ::_exit(2);
                    } catch (const InvalidStateError&) {
                    }
                    Process own{forkserver, [] {}};
                    own.start();
                    own.join();
                    ::_exit(own.exitcode() == 0 ? 0 : 3);
                  }};
  process.start();
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
  sibling.kill();
  sibling.join();
}

class Doubler : public Process {
 public:
  Doubler(int number, int out) : number_{number}, out_{out} {}

 protected:
  void run() override {
    const std::string text = std::to_string(2 * number_);
    if (::write(out_, text.data(), text.size()) < 0) ::_exit(1);
  }

 private:
  int number_;
  int out_;
};

TEST(ProcessSubclasses, RunInACopyOfTheirObject) {
  Report report;
  Doubler doubler{21, report.writing.get()};
  doubler.set_name("doubler").start();
  EXPECT_EQ(report.read_all(), "42");
  doubler.join();
  EXPECT_EQ(doubler.exitcode(), 0);
  const Process handle = doubler;
  EXPECT_EQ(handle.name(), "doubler");
  EXPECT_EQ(handle.exitcode(), 0);
}

TEST(StartMethods, AreKnownByName) {
  for (const StartMethod method : process::get_all_start_methods()) {
    EXPECT_EQ(process::start_method_named(process::to_string(method)), method);
  }
  EXPECT_THROW((void)process::start_method_named("thread"), std::invalid_argument);
}

int set_before_start = 0;

TEST(StartMethods, CanBeChosenOnceUnlessForced) {
  EXPECT_EQ(process::get_start_method(), StartMethod::Forkserver);
  process::set_start_method(StartMethod::Fork, true);  // it stays set when tests are repeated
  EXPECT_THROW(process::set_start_method(StartMethod::Spawn), InvalidStateError);
  set_before_start = 5;
  Process process{[](int number) { ::_exit(number == set_before_start ? 0 : 1); }, 5};
  process.start();
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
  process::set_start_method(StartMethod::Forkserver, true);
}

TEST(Processors, AreCounted) { EXPECT_GE(process::cpu_count(), 1u); }

}  // namespace
}  // namespace weft::test
