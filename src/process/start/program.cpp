#include "process/start/program.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/process/main.hpp>

#include "port/spawn_settings.hpp"
#include "process/start/child.hpp"
#include "process/start/fork_server.hpp"

namespace weft {

namespace detail {

namespace {

constexpr std::string_view kMark = "--weft-process=";
constexpr std::string_view kSpawn = "spawn";
constexpr std::string_view kForkserver = "forkserver";

// For ld.so(8), in the environment of a fork server: all functions of all libraries are bound as it starts, once. Else each of its children
// would look up anew what it calls as the first, by tables that it has to be given page by page. The value is for us to know it by.
constexpr const char* kBindName = "LD_BIND_NOW";
constexpr const char* kBindAtOnce = "LD_BIND_NOW=weft";

/// What main() was given. Null: it was not called.
std::atomic<char**> arguments{nullptr};

// What a worker or a helper thread blocks is no child's concern.
const sigset_t blocked_at_begin = [] {
  sigset_t blocked;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  return blocked;
}();

/// What the program has, and for a fork server what its loader is to do.
std::vector<char*> environment_for(std::string_view what) {
  std::vector<char*> variables;
  for (char** variable = environ; variable && *variable; ++variable) variables.push_back(*variable);
  if (what == kForkserver && !::getenv(kBindName)) variables.push_back(const_cast<char*>(kBindAtOnce));
  variables.push_back(nullptr);
  return variables;
}

// Its children, and what they start, have the program's environment.
void clean_environment() noexcept {
  const char* const value = ::getenv(kBindName);
  if (value && std::string_view{kBindAtOnce}.substr(std::strlen(kBindName) + 1) == value) ::unsetenv(kBindName);
}

bool is_socket(int fd) {
  struct stat about {};
  return ::fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode);
}

}  // namespace

void require_main_line(const char* method) {
  if (arguments.load(std::memory_order_acquire)) return;
  throw InvalidStateError{std::string{"start a process by "} + method +
                          ": the child is this program started anew, and main() does not tell it apart from an ordinary run. Add the line\n"
                          "    weft::process::main(argc, argv);\n"
                          "as the first of main(int argc, char** argv), or start the process by weft::fork. If it is there, main() has not begun "
                          "yet: make what starts processes in main(), or as a static object of a function, not at namespace scope"};
}

pid_t start_program_anew(const std::string& what, int fd, const std::string& whom) {
  std::string mark = std::string{kMark} + what;
  char** given = arguments.load(std::memory_order_acquire);
  std::vector<char*> argv;
  if (*given) argv.push_back(*given++);
  argv.push_back(mark.data());
  while (*given) argv.push_back(*given++);
  argv.push_back(nullptr);
  const std::vector<char*> environment = environment_for(what);
  port::SpawnSettings settings{blocked_at_begin};
  settings.give(fd, kSocketOfChild);
  settings.close_from(kSocketOfChild + 1);
  pid_t pid = 0;
  int error = settings.error();
  // The link leads to the program's file even if that has been replaced or deleted.
  if (error == 0) error = ::posix_spawn(&pid, "/proc/self/exe", &settings.actions, &settings.attributes, argv.data(), environment.data());
  if (error != 0) throw OSError{error, "start this program anew for", whom};
  return pid;
}

}  // namespace detail

void process::main(int argc, char** argv) {
  using namespace weft::detail;
  const std::string_view first = argc > 1 ? argv[1] : "";
  if (!first.starts_with(kMark)) {
    arguments.store(argv, std::memory_order_release);
    return;
  }
  const std::string_view what = first.substr(kMark.size());
  if ((what != kSpawn && what != kForkserver) || !is_socket(kSocketOfChild)) {
    std::fprintf(stderr, "%s: %s is how weft starts this program for a child process, and not for anybody else to give\n", argv[0], argv[1]);
    ::_exit(2);
  }
  ::fcntl(kSocketOfChild, F_SETFD, FD_CLOEXEC);
  ::prctl(PR_SET_NAME, program_invocation_short_name);  // for ps and pkill, to whom it was "exe"
  // For processes that this one starts: the arguments without the mark.
  for (int i = 1; i < argc; ++i) argv[i] = argv[i + 1];
  arguments.store(argv, std::memory_order_release);
  clean_environment();
  close_standard_input();  // also for all that the fork server will fork
  if (what == kForkserver) serve_forks(kSocketOfChild);
  live_sent(kSocketOfChild, WayOut::Exit);
}

}  // namespace weft
