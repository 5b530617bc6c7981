// A process by every start method: what it is given, how it ends, and what its handle says.

#include <weft/process/process.hpp>

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <weft/base/error.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/timeout.hpp>
#include <weft/process/authkey.hpp>
#include <weft/process/wait.hpp>
#include <weft/queue/select.hpp>
#include <weft/sync/scope.hpp>
#include <weft/thread/thread.hpp>

#include "process/children.hpp"
#include "process/sync_child.hpp"
#include "support/in_child.hpp"
#include "support/stress.hpp"

namespace weft::test {
namespace {

using Processes = EachStartMethod;
INSTANTIATE_TEST_SUITE_P(Methods, Processes, kAllMethods, name_of_method);

// ---- what it is given ------------------------------------------------------------------------------------------------------

void sum(int a, const std::vector<long>& others, const std::string& word, OwnedFd out) {
  long total = a;
  for (const long one : others) total += one;
  tell(out, word + std::to_string(total));
}

TEST_P(Processes, CallAFunctionWithItsArguments) {
  Report report;
  Process process = make(sum, 1, std::vector<long>{20, 300}, "sum ", std::move(report.writing));
  process.start();
  EXPECT_EQ(report.read_all(), "sum 321");
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
}

TEST_P(Processes, CallACaptureLessLambda) {
  Report report;
  Process process = make([](OwnedFd out, int n) { tell(out, std::to_string(n * n)); }, std::move(report.writing), 12);
  process.start();
  EXPECT_EQ(report.read_all(), "144");
  process.join();
}

struct Scaled {
  int factor;
  void operator()(int n, const OwnedFd& out) const { tell(out, std::to_string(n * factor)); }
};

TEST_P(Processes, CallAFunctionObjectWithItsFields) {
  Report report;
  Process process = make(Scaled{7}, 6, std::move(report.writing));
  process.start();
  EXPECT_EQ(report.read_all(), "42");
  process.join();
}

TEST_P(Processes, MayChangeArgumentsTakenByReferenceForThemselves) {
  Report report;
  Process process = make(
      [](std::string& text, OwnedFd& out) {
        text += " child";
        tell(out, text);
      },
      std::string{"of a"}, std::move(report.writing));
  process.start();
  EXPECT_EQ(report.read_all(), "of a child");
  process.join();
}

TEST_P(Processes, TakeMegabytes) {
  Report report;
  const std::string much(std::size_t{24} << 20, 'x');
  Process process = make([](const std::string& text, OwnedFd out) { tell(out, std::to_string(text.size())); }, much, std::move(report.writing));
  process.start();
  EXPECT_EQ(report.read_all(), std::to_string(much.size()));
  process.join();
}

TEST_P(Processes, TakeMoreDescriptorsThanOneMessageHolds) {
  Report report;
  std::vector<OwnedFd> many;
  for (int i = 0; i < 300; ++i) many.push_back(OwnedFd::duplicate(report.writing.get()));
  Process process = make(
      [](const std::vector<OwnedFd>& fds) {
        for (const OwnedFd& fd : fds) tell(fd, ".");
      },
      std::move(many));
  process.start();
  EXPECT_EQ(report.read_all(), std::string(300, '.'));
  process.join();
}

int shared_by_nobody = 1;

TEST_P(Processes, ShareNoMemory) {
  Process process = make([] { shared_by_nobody = 2; });
  process.start();
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
  EXPECT_EQ(shared_by_nobody, 1);
}

TEST_P(Processes, HaveTheWorkingDirectoryOfTheirStarterAndNoInput) {
  Report report;
  char before[4096];
  ASSERT_NE(::getcwd(before, sizeof before), nullptr);
  ASSERT_EQ(::chdir("/proc"), 0);
  Process process = make(
      [](OwnedFd out) {
        char folder[256];
        char byte;
        tell(out, ::getcwd(folder, sizeof folder) ? folder : "?");
        tell(out, ::read(0, &byte, 1) == 0 ? " and no input" : " and input");
      },
      std::move(report.writing));
  process.start();
  EXPECT_EQ(::chdir(before), 0);
  EXPECT_EQ(report.read_all(), "/proc and no input");
  process.join();
}

TEST_P(Processes, RunFibersAndThreads) {
  Report report;
  Process process = make(
      [](OwnedFd out) {
        Thread thread{[&] { tell(out, "thread "); }};
        thread.start();
        thread.join();
        spawn([&] { tell(out, "fiber"); }).join();
      },
      std::move(report.writing));
  process.start();
  EXPECT_EQ(report.read_all(), "thread fiber");
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
}

// ---- how it ends -----------------------------------------------------------------------------------------------------------

TEST_P(Processes, EndWithZeroWhateverTheyReturn) {
  Process process = make([] { return 5; });
  process.start();
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
}

TEST_P(Processes, EndWithWhatTheyGiveToExit) {
  for (const auto leave : {+[](int code) { std::exit(code); }, +[](int code) { ::_exit(code); }}) {
    Process process = make(leave, 7);
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), 7);
  }
}

void fail_on(OwnedFd error) {
  ::dup2(error.get(), STDERR_FILENO);
  throw std::runtime_error{"no such luck"};
}

TEST_P(Processes, EndWithOneAfterAnExceptionAndSayWhich) {
  Report report;
  Process process = make(fail_on, std::move(report.writing));
  process.set_name("unlucky").start();
  const std::string said = report.read_all();
  const std::string what = "weft: process \"unlucky\" ended with std::runtime_error: no such luck\n";
  EXPECT_TRUE(said.starts_with(what)) << said;
  // Behind it come the calls that led there: by name where libdw is installed, else as places in the program.
  EXPECT_TRUE(said.substr(what.size()).starts_with("  at ")) << said;
  process.join();
  EXPECT_EQ(process.exitcode(), 1);
}

TEST_P(Processes, EndWithTheNegativeNumberOfASignal) {
  for (const int signal : {SIGKILL, SIGTERM, SIGSEGV}) {
    Process process = make([](int number) {
      ::signal(number, SIG_DFL);
      ::kill(::getpid(), number);
      for (;;) ::pause();
    }, signal);
    process.start();
    process.join();
    EXPECT_EQ(process.exitcode(), -signal);
  }
}

TEST_P(Processes, CanBeTerminatedAndKilled) {
  Report stay;
  Process gentle = make(wait_for_go, OwnedFd::duplicate(stay.reading.get()));
  Process hard = make(wait_for_go, OwnedFd::duplicate(stay.reading.get()));
  gentle.start();
  hard.start();
  EXPECT_TRUE(gentle.is_alive() && hard.is_alive());
  EXPECT_FALSE(gentle.exitcode());
  gentle.terminate();
  hard.kill();
  gentle.join();
  hard.join();
  EXPECT_EQ(gentle.exitcode(), -SIGTERM);
  EXPECT_EQ(hard.exitcode(), -SIGKILL);
  EXPECT_FALSE(gentle.is_alive() || hard.is_alive());
  gentle.terminate();  // too late, and of no effect
}

TEST_P(Processes, FlushTheirStreamsAtTheEnd) {
  Report report;
  Process process = make(
      [](OwnedFd out) {
        ::dup2(out.get(), STDOUT_FILENO);
        std::printf("printed");
        std::cout << " and streamed";
      },
      std::move(report.writing));
  process.start();
  const std::string text = report.read_all();
  EXPECT_TRUE(text == "printed and streamed" || text == " and streamedprinted") << text;
  process.join();
}

TEST_P(Processes, WaitForTheirThreadsAndChildrenAtTheEnd) {
  Report report;
  Process process = make(
      [](StartMethod method, OwnedFd out) {
        Process{method, [](OwnedFd mine) {
                  sleep_for(30ms);
                  tell(mine, "child ");
                }, OwnedFd::duplicate(out.get())}.start();
        Thread{[out = std::make_shared<OwnedFd>(std::move(out))] {
          sleep_for(10ms);
          tell(*out, "thread ");
        }}.start();
      },
      GetParam(), std::move(report.writing));
  process.start();
  process.join();
  EXPECT_EQ(process.exitcode(), 0);
  pollfd polled{report.reading.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&polled, 1, 0), 1);
  const std::string text = report.read_all();
  EXPECT_TRUE(text == "thread child " || text == "child thread ") << text;
}

// ---- what its handle says --------------------------------------------------------------------------------------------------

TEST_P(Processes, SayWhoTheyAre) {
  Report report;
  Process process = make(
      [](OwnedFd out) {
        const Process self = process::current_process();
        const auto parent = process::parent_process();
        tell(out, self.name() + ' ' + std::to_string(self.pid()) + ' ' + parent->name() + ' ' + std::to_string(parent->pid()) +
                      (self.daemon() ? " daemon" : "") + (parent->is_alive() ? " alive" : ""));
      },
      std::move(report.writing));
  process.set_name("worker").set_daemon(true);
  EXPECT_EQ(process.pid(), 0);
  process.start();
  EXPECT_EQ(report.read_all(), "worker " + std::to_string(process.pid()) + ' ' + process::current_process().name() + ' ' +
                                   std::to_string(::getpid()) + " daemon alive");
  process.join();
  EXPECT_EQ(process::current_process().name(), "MainProcess");
  EXPECT_FALSE(process::parent_process());
}

TEST_P(Processes, AreNumberedWithinTheirParent) {
  Report report;
  Process process = make(
      [](StartMethod method, OwnedFd out) {
        const std::string own = process::current_process().name();
        for (int i = 1; i <= 2; ++i) {
          Process child{method, [](std::string expected, OwnedFd mine) {
                          tell(mine, process::current_process().name() == expected ? "as expected " : process::current_process().name());
                        }, own + ':' + std::to_string(i), OwnedFd::duplicate(out.get())};
          child.start();
          child.join();
        }
      },
      GetParam(), std::move(report.writing));
  process.start();
  EXPECT_EQ(process.name().substr(0, 8), "Process-");
  EXPECT_EQ(report.read_all(), "as expected as expected ");
  process.join();
}

TEST_P(Processes, InheritTheKeyOfConnectionsAndTheStartMethod) {
  struct Restore {
    const StartMethod before = process::get_start_method();
    ~Restore() { process::set_start_method(before, true); }
  } const restore;
  const StartMethod other = restore.before == StartMethod::Spawn ? StartMethod::Fork : StartMethod::Spawn;
  process::set_start_method(other, true);
  Report report;
  Process process = make([](OwnedFd out) { tell(out, process::authkey() + std::string{process::to_string(process::get_start_method())}); },
                         std::move(report.writing));
  process.start();
  EXPECT_EQ(process::authkey().size(), 32u);
  EXPECT_EQ(report.read_all(), process::authkey() + std::string{process::to_string(other)});
  process.join();
}

TEST_P(Processes, CanBeJoinedForATime) {
  Report stay;
  Process process = make(wait_for_go, std::move(stay.reading));
  process.start();
  EXPECT_FALSE(process.join_for(5ms));
  EXPECT_FALSE(process.join_until(Deadline::already()));
  stay.go();
  EXPECT_TRUE(process.join_for(kPatience));
  EXPECT_TRUE(process.join_until(Deadline::already()));
}

TEST_P(Processes, CanBeJoinedByFibersAndThreadsAtOnce) {
  Report stay;
  Process process = make(wait_for_go, std::move(stay.reading));
  process.start();
  std::vector<Fiber<bool>> fibers;
  for (int i = 0; i < 20; ++i) fibers.push_back(spawn([process]() mutable { return process.join_for(kPatience); }));
  bool joined = false;
  Thread thread{[&] { joined = process.join_for(kPatience); }};
  thread.start();
  spawn([] {}).join();
  stay.go();
  for (auto& fiber : fibers) EXPECT_TRUE(fiber.get());
  thread.join();
  EXPECT_TRUE(joined);
  EXPECT_EQ(process.exitcode(), 0);
}

TEST_P(Processes, JoinEndsByAKillAndByATimeout) {
  Report stay;
  Process process = make(wait_for_go, std::move(stay.reading));
  process.start();
  auto fiber = spawn([process]() mutable { process.join(); });
  EXPECT_FALSE(fiber.join_for(5ms));
  fiber.kill();
  EXPECT_TRUE(fiber.join_for(kPatience));
  EXPECT_THROW(
      {
        Timeout limit{5ms};
        process.join();
      },
      TimeoutExpired);
  process.kill();
  process.join();
}

TEST_P(Processes, CanBeSelected) {
  Report stay;
  Process lasting = make(wait_for_go, std::move(stay.reading));
  Process brief = make([] {});
  lasting.start();
  const auto wait = [&] {
    return select(lasting.on_end([] {}), brief.on_end([] {}), after(kPatience, [] {}));
  };
  brief.start();
  EXPECT_EQ(wait(), 1u);
  EXPECT_EQ(spawn(wait).get(), 1u);
  EXPECT_EQ(select(lasting.on_end([] {}), after(1ms, [] {})), 1u);
  auto fiber = spawn([&] { return select(lasting.on_end([] {}), after(kPatience, [] {})); });
  EXPECT_FALSE(fiber.join_for(1ms));
  stay.go();
  EXPECT_EQ(fiber.get(), 0u);
  EXPECT_EQ(select(lasting.on_end([] {}), after(kPatience, [] {})), 0u);
}

TEST_P(Processes, HaveASentinelThatIsReadableAtTheirEnd) {
  Report stay;
  Process process = make(wait_for_go, std::move(stay.reading));
  process.start();
  pollfd polled{process.sentinel(), POLLIN, 0};
  EXPECT_EQ(::poll(&polled, 1, 0), 0);
  EXPECT_TRUE(process::wait({process}, 5ms).empty());
  stay.go();
  EXPECT_EQ(::poll(&polled, 1, 60'000), 1);
  EXPECT_EQ(process::wait({process}, kPatience), std::vector<std::size_t>{0});
  process.join();
}

TEST_P(Processes, AreActiveUntilTheyEndThoughTheirHandlesAreDropped) {
  Report stay;
  pid_t pid = 0;
  {
    Process process = make(wait_for_go, std::move(stay.reading));
    process.start();
    pid = process.pid();
    process = Process{};
  }
  const std::vector<Process> active = process::active_children();
  ASSERT_EQ(active.size(), 1u);
  EXPECT_EQ(active[0].pid(), pid);
  EXPECT_EQ(active, process::active_children());
  stay.go();
  EXPECT_TRUE(eventually([] { return process::active_children().empty(); }));
  EXPECT_EQ(active[0].exitcode(), 0);
}

TEST_P(Processes, LeaveNoZombieThoughNobodyJoinsThem) {
  Report report;
  make([](OwnedFd) {}, std::move(report.writing)).start();
  EXPECT_EQ(report.read_all(), "");
  EXPECT_TRUE(eventually([] {
    Process next{fork, [] {}};
    next.start();
    next.join();
    return process::active_children().empty();
  }));
  siginfo_t zombie{};
  EXPECT_EQ(::waitid(P_ALL, 0, &zombie, WNOHANG | WEXITED | __WALL), 0);  // there is the fork server
  EXPECT_EQ(zombie.si_pid, 0) << "status " << zombie.si_status << ", code " << zombie.si_code;
}

// What is sent to a child can be read before the kernel has told of it; told late, on a socket that kills by what it tells, it killed one
// of some ten thousand as it began.
// The kernel buries children of a program that ignores SIGCHLD, as servers do, perhaps before they can be followed.
TEST_P(Processes, CanBeStartedThoughSigchldIsIgnored) {
  const auto before = ::signal(SIGCHLD, SIG_IGN);
  for (int i = 0; i < rounds(100); ++i) {
    Process process = make([] {});
    EXPECT_NO_THROW(process.start());
    process.join();
    EXPECT_FALSE(process.is_alive());
    EXPECT_NO_THROW(process.kill());
  }
  ::signal(SIGCHLD, before);
}

/// This process's fork server.
pid_t pid_of_fork_server() {
  std::ifstream children{"/proc/self/task/" + std::to_string(::getpid()) + "/children"};
  for (pid_t pid = 0; children >> pid;) {
    std::ifstream line{"/proc/" + std::to_string(pid) + "/cmdline"};
    const std::string text{std::istreambuf_iterator<char>{line}, {}};
    if (text.find("forkserver") != std::string::npos) return pid;
  }
  return 0;
}

// In a process of its own, as all others here would wait for it, too.
TEST(AForkServer, ThatIsStoppedIsReplaced) {
  const int code = in_child([] {
    process::start_forkserver();
    pid_t stopped = 0;
    // It has no command line yet as posix_spawn() returns.
    if (!eventually([&] { return (stopped = pid_of_fork_server()) != 0; })) return 2;
    ::kill(stopped, SIGSTOP);
    Process process{forkserver, [] { ::_exit(5); }};
    process.start();
    if (!process.join_for(kPatience)) return 3;
    if (pid_of_fork_server() == stopped) return 4;
    return *process.exitcode();
  });
  EXPECT_EQ(code, 5);
}

TEST(ProcessClasses, ThatDeriveAreStartedByForkOnly) {
  struct Derived : Process {
    explicit Derived(StartMethod method) : Process{method, [] {}} {}
  };
  Derived forked{StartMethod::Fork};
  forked.start();
  forked.join();
  EXPECT_EQ(forked.exitcode(), 0);
  Derived spawned{StartMethod::Spawn};
  EXPECT_THROW(spawned.start(), InvalidStateError);
}

TEST_P(Processes, AreNotKilledAsTheyBegin) {
  std::vector<Thread> starters;
  std::atomic<int> failed{0};
  for (int i = 0; i < 3; ++i) {
    starters.emplace_back([&] {
      for (int k = 0; k < rounds(60); ++k) {
        Process process = make([] {});
        process.start();
        process.join();
        if (process.exitcode() != 0) ++failed;
      }
    });
    starters.back().start();
  }
  for (Thread& starter : starters) starter.join();
  EXPECT_EQ(failed, 0);
}

// A process that ends while it is traced, by strace or a debugger, is told of at once, but is its tracer's until that lets go of it.
TEST_P(Processes, HaveTheirExitCodeThoughTheyWereTraced) {
  enum Stage { Waiting, Attached, Refused };
  const InSharedMemory<std::atomic<int>> stage;
  Report stay;
  Process process = make(wait_for_go, std::move(stay.reading));
  process.start();
  {
    Child tracer{[&, pid = process.pid()] {
      *stage = ::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0 ? Attached : Refused;
      siginfo_t end{};
      while (*stage == Attached && ::waitid(P_PID, static_cast<id_t>(pid), &end, WEXITED | WNOWAIT | __WALL) != 0) {
      }
      ::usleep(400'000);
      return true;
    }};
    ASSERT_TRUE(eventually([&] { return *stage != Waiting; }));
    process.kill();
    process.join();
    EXPECT_EQ(process.exitcode(), -SIGKILL);
    EXPECT_EQ(tracer.join(), 0);
    if (*stage == Refused) GTEST_SKIP() << "no tracing here";
  }
  siginfo_t zombie{};
  (void)::waitid(P_ALL, 0, &zombie, WNOHANG | WEXITED | __WALL);
  EXPECT_EQ(zombie.si_pid, 0);
}

TEST_P(Processes, RefuseWhatDoesNotFit) {
  Process process = make([] {});
  EXPECT_THROW(process.join(), InvalidStateError);
  EXPECT_THROW((void)process.sentinel(), InvalidStateError);
  EXPECT_THROW(process.terminate(), InvalidStateError);
  EXPECT_FALSE(process.is_alive());
  EXPECT_FALSE(process.exitcode());
  process.start();
  EXPECT_THROW(process.start(), InvalidStateError);
  EXPECT_THROW(process.set_daemon(true), InvalidStateError);
  process.join();
  EXPECT_THROW(process.start(), InvalidStateError);
  EXPECT_EQ(process.exitcode(), 0);
  process.close();
  EXPECT_THROW(process.join(), InvalidStateError);
  EXPECT_THROW((void)process.is_alive(), InvalidStateError);
  EXPECT_THROW((void)process.exitcode(), InvalidStateError);
  EXPECT_THROW((void)process.pid(), InvalidStateError);
  EXPECT_THROW((void)process.sentinel(), InvalidStateError);
  process.close();
  EXPECT_THROW(Process{}.start(), InvalidStateError);
  EXPECT_THROW(process::current_process().join(), InvalidStateError);
}

TEST_P(Processes, CannotBeClosedWhileTheyRun) {
  Report stay;
  Process process = make(wait_for_go, std::move(stay.reading));
  process.start();
  EXPECT_THROW(process.close(), InvalidStateError);
  EXPECT_TRUE(process.is_alive());
  stay.go();
  process.join();
}

TEST_P(Processes, WithoutAnEndInADaemonMayHaveNoChildren) {
  Report report;
  Process process = make(
      [](StartMethod method, OwnedFd out) {
        try {
          Process{method, [] {}}.start();
        } catch (const InvalidStateError& error) {
          tell(out, error.what());
        }
      },
      GetParam(), std::move(report.writing));
  process.set_daemon(true).set_name("demon").start();
  EXPECT_NE(report.read_all().find("process \"demon\" is daemonic, and such a process may have no children"), std::string::npos);
  process.join();
}

}  // namespace
}  // namespace weft::test
