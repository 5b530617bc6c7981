// https, against the server that comes with OpenSSL.

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <weft/http/session.hpp>

#include "http/scenes.hpp"

namespace weft::test {
namespace {

/// A server for https://localhost, with a certificate that it has signed itself.
class OpensslServer {
 public:
  OpensslServer() {
    if (::mkdtemp(folder_.data()) == nullptr) std::abort();
    const std::string make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
                             " -addext subjectAltName=DNS:localhost -keyout " + key() + " -out " + certificate() + " 2>/dev/null";
    if (std::system(make.c_str()) == 0) start();
  }
  OpensslServer(const OpensslServer&) = delete;
  OpensslServer& operator=(const OpensslServer&) = delete;
  ~OpensslServer() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    if (output_) std::fclose(output_);
    std::filesystem::remove_all(folder_);
  }

  [[nodiscard]] bool runs() const { return !port_.empty(); }
  [[nodiscard]] std::string certificate() const { return folder_ + "/certificate.pem"; }
  [[nodiscard]] std::string url(const std::string& host) const { return "https://" + host + ':' + port_ + '/'; }

 private:
  [[nodiscard]] std::string key() const { return folder_ + "/key.pem"; }

  void start() {
    std::vector<std::string> arguments{"openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", certificate(), "-key", key()};
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);  // says what it thinks of each client
    if (::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ) != 0) pid_ = -1;
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    output_ = ::fdopen(ends[0], "r");
    char line[256];
    while (std::fgets(line, sizeof line, output_)) {
      const std::string text = line;
      if (!text.starts_with("ACCEPT ")) continue;
      port_ = text.substr(text.rfind(':') + 1);
      port_.pop_back();
      return;
    }
  }

  std::string folder_ = "/tmp/weft-http-test-XXXXXX";
  pid_t pid_ = -1;
  FILE* output_ = nullptr;
  std::string port_;
};

class HttpTlsTest : public HttpTest {};
WEFT_IN_EVERY_WORLD(HttpTlsTest);

TEST_P(HttpTlsTest, ServersAreTrustedByTheirCertificatesOnly) {
  const OpensslServer server;
  if (!server.runs()) GTEST_SKIP() << "no program openssl here";
  in_world([&](World&) {
    const http::Session session{.timeout = kPatience, .ca_file = server.certificate()};
    const http::Response response = session.get(server.url("localhost"));
    EXPECT_EQ(response.status_code, 200);
    EXPECT_NE(response.text().find("s_server"), std::string::npos) << response.text();

    const auto refused = [](const std::string& url, const std::optional<std::string>& ca_file) {
      return message_of<http::ConnectionError>([&] { (void)http::get(url, {.timeout = kPatience, .ca_file = ca_file}); });
    };
    const std::string unknown = refused(server.url("localhost"), std::nullopt);
    EXPECT_NE(unknown.find("self-signed certificate"), std::string::npos) << unknown;
    const std::string other_name = refused(server.url("127.0.0.1"), server.certificate());
    EXPECT_NE(other_name.find("127.0.0.1"), std::string::npos) << other_name;
    const std::string no_file = refused(server.url("localhost"), "/nowhere/certificates.pem");
    EXPECT_NE(no_file.find("/nowhere/certificates.pem"), std::string::npos) << no_file;
  });
}

}  // namespace
}  // namespace weft::test
