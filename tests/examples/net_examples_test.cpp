// The network examples print what their texts say.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <weft/net/connect.hpp>
#include <weft/net/server_socket.hpp>

#include "support/fork.hpp"
#include "support/paths.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

std::string path_of(const std::string& example) { return test::build_dir() + "/examples/" + example; }

// The output of a program that has to end by itself, with success, within some seconds.
std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe{::popen(("timeout 60 " + command + " 2>&1").c_str(), "r"), &::pclose};
  std::string output;
  char buffer[4096];
  while (const std::size_t size = std::fread(buffer, 1, sizeof buffer, pipe.get())) output.append(buffer, size);
  return output;
}

TEST(Examples, TcpEcho) {
  EXPECT_EQ(output_of(path_of("tcp_echo")),
            "Ann sent \"good morning\" and got \"good morning\"\n"
            "Ann sent \"and good night\" and got \"and good night\"\n"
            "Ann hung up and got 0 bytes more\n"
            "Bob sent \"good morning\" and got \"good morning\"\n"
            "Bob sent \"and good night\" and got \"and good night\"\n"
            "Bob hung up and got 0 bytes more\n"
            "done\n");
}

TEST(Examples, UdpEcho) {
  EXPECT_EQ(output_of(path_of("udp_echo")),
            "sent \"one\", got \"one\"\n"
            "sent \"two\", got \"two\"\n"
            "sent \"three\", got \"three\"\n"
            "sent \"\", got \"\"\n"
            "done\n");
}

TEST(Examples, StickyPackets) {
  EXPECT_EQ(output_of(path_of("sticky_packets")),
            "The trouble: three messages are sent,\n"
            "  sent     \"left\"\n"
            "  sent     \"right\"\n"
            "  sent     \"stop\"\n"
            "and one read brings them all, stuck together:\n"
            "  received \"leftrightstop\"\n"
            "Or a message comes in pieces, because the reader's buffer is small:\n"
            "  received \"a long\"\n"
            "  received \"er mes\"\n"
            "  received \"sage\"\n"
            "The cure: a length of fixed size in front of every message.\n"
            "  pack(199) is C7 00 00 00\n"
            "  and in network order 00 00 00 C7\n"
            "  unpack gives 199\n"
            "  pack 199: out of range for 1 byte, signed\n"
            "  received \"left\"\n"
            "  received \"right\"\n"
            "  received \"\"\n"
            "  received \"a longer message\"\n"
            "  end of stream, between two messages\n");
}

TEST(Examples, RawHttp) {
  EXPECT_EQ(output_of(path_of("raw_http")),
            "status:  HTTP/1.1 200 OK\n"
            "body:    44 bytes\n"
            "You asked: GET /greeting?from=weft HTTP/1.1\n");
  const std::uint16_t nobody = create_server(Address::parse("127.0.0.1:0")).local_address().port();
  EXPECT_EQ(output_of(path_of("raw_http") + " 127.0.0.1 " + std::to_string(nobody)),
            "raw_http: connect to 127.0.0.1:" + std::to_string(nobody) + ": Connection refused\n");
}

// A child process whose output is read line by line.
class Child {
 public:
  explicit Child(std::vector<std::string> arguments) {
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    pid_ = weft::test::forked();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      std::vector<char*> argv;
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    output_ = ::fdopen(ends[0], "r");
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    (void)exit_status();
    std::fclose(output_);
  }

  std::string line() {
    char buffer[256];
    return std::fgets(buffer, sizeof buffer, output_) ? buffer : "";
  }
  void signal(int number) { ::kill(pid_, number); }
  int exit_status() {
    if (pid_ <= 0) return -1;
    int status = 0;
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (::waitpid(pid_, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > until) ::kill(pid_, SIGKILL);
      std::this_thread::sleep_for(1ms);
    }
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_ = -1;
  FILE* output_ = nullptr;
};

TEST(Examples, EchoServerEchoesAndEndsOnSignals) {
  for (const int signal : {SIGTERM, SIGINT}) {
    for (const std::string workers : {"1", "2"}) {
      Child server{{path_of("echo_server"), "0", "--workers", workers}};
      const std::string line = server.line();
      ASSERT_EQ(line.rfind("listening on 127.0.0.1:", 0), 0u) << line;
      const Address address = Address::parse(line.substr(13, line.size() - 14));
      std::vector<Socket> clients;
      for (int i = 0; i < 20; ++i) clients.push_back(create_connection(address, {.timeout = 10s}));
      for (const std::size_t size : {1, 64, 512, 513, 4096, 100'000}) {
        for (Socket& client : clients) {
          const std::string message(size, static_cast<char>('a' + size % 26));
          client.send_all(message, Deadline::after(20s));
          EXPECT_EQ(client.recv_exactly(size, Deadline::after(20s)), message);
        }
      }
      clients.resize(10);  // some are still connected when it is told to end
      server.signal(signal);
      EXPECT_EQ(server.line(), "stopped\n");
      EXPECT_EQ(server.exit_status(), 0);
    }
  }
}

TEST(Examples, EchoServerExplainsItself) {
  for (const std::string arguments : {"", "x", "70000", "0 --workers", "0 --workers x", "0 --other 1"}) {
    EXPECT_EQ(output_of(path_of("echo_server") + ' ' + arguments), "usage: echo_server PORT [--workers N]\n") << arguments;
  }
  Socket taken = create_server(Address::parse("127.0.0.1:0"));
  const std::string port = std::to_string(taken.local_address().port());
  EXPECT_EQ(output_of(path_of("echo_server") + ' ' + port),
            "echo_server: bind to 127.0.0.1:" + port + ": Address already in use\n");
}

}  // namespace
}  // namespace weft
