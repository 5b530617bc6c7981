// Unmodified client libraries against the real servers: a hundred blocking requests of 50 ms each, on one worker.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/net/server_socket.hpp>
#include <weft/sync/event.hpp>

#include "support/fork.hpp"
#include "support/eventually.hpp"
#include "support/paths.hpp"
#include "support/program.hpp"

namespace weft::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBody = "slow but sure\n";
constexpr int kRequests = 100;

/// A folder of its own for a server, short enough for the name of a UNIX socket.
class Scratch {
 public:
  Scratch() {
    char name[] = "/tmp/weft-servers-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Scratch() { fs::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::optional<std::string> found(const std::string& program) {
  for (const char* folder : {"/usr/sbin/", "/usr/bin/", "/usr/local/sbin/", "/usr/local/bin/"}) {
    if (::access((folder + program).c_str(), X_OK) == 0) return folder + program;
  }
  return std::nullopt;
}

/// A process that writes its output to a file; asked to end, and waited for.
class Server {
 public:
  Server(std::vector<std::string> command, const std::string& log) : log_{log} {
    std::vector<char*> arguments;
    for (std::string& argument : command) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    pid_ = weft::test::forked();
    if (pid_ == 0) {
      const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      ::dup2(output, STDOUT_FILENO);
      ::dup2(output, STDERR_FILENO);
      ::execv(arguments[0], arguments.data());
      ::_exit(127);
    }
  }
  ~Server() {
    if (ended_) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] bool has_ended() {
    if (!ended_) ended_ = ::waitpid(pid_, nullptr, WNOHANG) == pid_;
    return ended_;
  }
  [[nodiscard]] std::string log() const {
    std::ifstream file{log_};
    return {std::istreambuf_iterator<char>{file}, {}};
  }

 private:
  pid_t pid_;
  const std::string log_;
  bool ended_ = false;
};

bool accepts(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
  ::close(fd);
  return connected;
}

/// Answers each request after 50 ms, a fiber a connection.
class SlowHttpServer {
 public:
  SlowHttpServer() : server_{create_server(Address::ipv4("127.0.0.1", 0), {.backlog = 512})} {
    runtime_.emplace(Runtime::Config{.workers = 2});
    serving_ = runtime_->spawn([this] { serve(); });
  }
  ~SlowHttpServer() {
    server_.close();
    serving_.join();
  }
  SlowHttpServer(const SlowHttpServer&) = delete;
  SlowHttpServer& operator=(const SlowHttpServer&) = delete;

  [[nodiscard]] std::string host() const { return "127.0.0.1:" + std::to_string(server_.local_address().port()); }

 private:
  void serve() {
    try {
      for (;;) spawn([peer = server_.accept()]() mutable { answer(peer); });
    } catch (const OSError&) {  // closed
    }
  }

  static void answer(Socket& peer) {
    try {
      std::string request;
      while (request.find("\r\n\r\n") == std::string::npos) {
        const std::string more = peer.recv(4096);
        if (more.empty()) return;
        request += more;
      }
      sleep_for(50ms);
      const std::string text =
          "HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\n" + std::string{kBody};
      peer.send_all(text.data(), text.size());
    } catch (const OSError&) {  // the peer has gone
    }
  }

  Socket server_;
  std::optional<Runtime> runtime_;
  Fiber<void> serving_;
};

/// Runs a client, tells what it said, and holds it to what a hundred requests take one after another: 5 seconds.
void expect_crowd(const std::string& client, const std::string& where) {
  const ProgramResult result = run_program(client, {where, std::to_string(kRequests)}, std::chrono::seconds{120});
  EXPECT_FALSE(result.timed_out);
  int done = 0, of = 0, milliseconds = 0;
  const std::string output = without_stall_reports(result.output);
  ASSERT_EQ(std::sscanf(output.c_str(), "%d of %d in %d ms", &done, &of, &milliseconds), 3) << output;
  EXPECT_EQ(done, kRequests) << output;
  EXPECT_GE(milliseconds, 50);
  EXPECT_LT(milliseconds, 2500);
  testing::Test::RecordProperty("milliseconds", milliseconds);
  std::printf("%s: %s", client.c_str(), output.c_str());
}

class PatchedLibraries : public testing::Test {
 protected:
  /// False, and the test is skipped, when something is not installed.
  bool is_installed(const std::string& client, const std::string& server) {
    if (::access((build_dir() + "/tests/programs/patched_" + client).c_str(), X_OK) != 0) {
      skip(client + "'s headers are not installed");
    } else if (!server.empty() && !found(server)) {
      skip(server + " is not installed");
    }
    return reason_.empty();
  }
  void wait_until_up(Server& server, const std::string& socket) {
    ASSERT_TRUE(eventually([&] { return accepts(socket) || server.has_ended(); }));
    ASSERT_FALSE(server.has_ended()) << server.log();
  }
  void skip(const std::string& why) { reason_ = why + ": tools/setup servers"; }

  std::string reason_;
};

TEST_F(PatchedLibraries, LibcurlAndASlowServer) {
  if (!is_installed("libcurl", "")) GTEST_SKIP() << reason_;
  const SlowHttpServer server;
  expect_crowd("patched_libcurl", "http://" + server.host() + "/");
}

TEST_F(PatchedLibraries, LibcurlAndNginxBeforeASlowServer) {
  if (!is_installed("libcurl", "nginx")) GTEST_SKIP() << reason_;
  const SlowHttpServer behind;
  const Scratch scratch;
  std::ofstream{scratch / "nginx.conf"} << "daemon off; master_process off; pid " << scratch / "pid"
                                        << "; error_log stderr;\n"
                                        << "events { worker_connections 1024; }\n"
                                        << "http { access_log off; client_body_temp_path " << scratch / "body"
                                        << "; proxy_temp_path " << scratch / "proxy"
                                        << "; fastcgi_temp_path " << scratch / "fastcgi"
                                        << "; uwsgi_temp_path " << scratch / "uwsgi"
                                        << "; scgi_temp_path " << scratch / "scgi"
                                        << ";\n server { listen unix:" << scratch / "socket"
                                        << " backlog=512; location / { proxy_pass http://" << behind.host()
                                        << "; } } }\n";
  Server nginx{{*found("nginx"), "-p", scratch.path(), "-c", scratch / "nginx.conf"}, scratch / "log"};
  wait_until_up(nginx, scratch / "socket");
  if (HasFatalFailure()) return;
  expect_crowd("patched_libcurl", scratch / "socket");
}

TEST_F(PatchedLibraries, HiredisAndRedis) {
  if (!is_installed("hiredis", "redis-server")) GTEST_SKIP() << reason_;
  const Scratch scratch;
  const std::string socket = scratch / "socket";
  Server redis{{*found("redis-server"), "--port", "0", "--unixsocket", socket, "--dir", scratch.path(), "--save", "",
                "--appendonly", "no", "--daemonize", "no"},
               scratch / "log"};
  wait_until_up(redis, socket);
  if (HasFatalFailure()) return;
  expect_crowd("patched_hiredis", socket);
}

TEST_F(PatchedLibraries, LibmariadbAndMariadb) {
  if (!is_installed("libmariadb", "mariadbd") || !is_installed("libmariadb", "mariadb-install-db"))
    GTEST_SKIP() << reason_;
  const Scratch scratch;
  const std::string socket = scratch / "socket";
  const std::string user = ::getuid() == 0 ? "--user=root" : "--skip-name-resolve";
  {
    Server install{{*found("mariadb-install-db"), "--no-defaults", "--datadir=" + scratch / "data", user,
                    "--skip-test-db", "--auth-root-authentication-method=normal"},
                   scratch / "install"};
    ASSERT_TRUE(eventually([&] { return install.has_ended(); }));
    ASSERT_TRUE(fs::exists(scratch / "data/mysql")) << install.log();
  }
  Server mariadb{{*found("mariadbd"), "--no-defaults", "--datadir=" + scratch / "data", user, "--skip-networking",
                  "--skip-grant-tables", "--socket=" + socket, "--pid-file=" + scratch / "pid", "--max-connections=300",
                  "--back-log=300"},
                 scratch / "log"};
  wait_until_up(mariadb, socket);
  if (HasFatalFailure()) return;
  expect_crowd("patched_libmariadb", socket);
}

}  // namespace
}  // namespace weft::test
