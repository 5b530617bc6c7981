#include "app/fixture.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "support/fork.hpp"
#include "support/paths.hpp"

namespace weft::app::test {

namespace fs = std::filesystem;

// ---- files

TempFolder::TempFolder(const fs::path& parent) {
  const fs::path base = parent.empty() ? fs::temp_directory_path() : parent;
  std::string pattern = (base / "weft-test-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp " + pattern);
  path_ = pattern;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void write_file(const std::string& path, std::string_view content) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  if (!file) throw std::runtime_error("write " + path);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return std::move(content).str();
}

std::string noise(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (std::size_t at = 0; at < size; at += 8) {
    const std::uint64_t value = random();
    std::memcpy(bytes.data() + at, &value, std::min<std::size_t>(8, size - at));
  }
  return bytes;
}

testing::AssertionResult same_bytes(std::string_view actual, std::string_view expected) {
  if (actual == expected) return testing::AssertionSuccess();
  const auto [at, unused] = std::mismatch(actual.begin(), actual.end(), expected.begin(), expected.end());
  return testing::AssertionFailure() << actual.size() << " bytes instead of " << expected.size()
                                     << ", different from byte " << at - actual.begin() << " on";
}

std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> files;
  for (auto it = fs::recursive_directory_iterator(folder); it != fs::recursive_directory_iterator(); ++it) {
    if (it->path().filename() == ".weft-part") {
      it.disable_recursion_pending();
    } else if (it->is_regular_file()) {
      files.push_back(fs::relative(it->path(), folder).string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

void short_pause() {
  std::this_thread::sleep_for(5ms);
}

// ---- processes

namespace {

void redirect(const std::string& path, int flags, int target) {
  const int file = ::open(path.c_str(), flags, 0600);
  if (file < 0 || ::dup2(file, target) < 0) ::_exit(126);
  ::close(file);
}

[[noreturn]] void exec(const std::vector<std::string>& arguments, const Process::Options& options,
                       const std::string& files) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that crashes leaves nothing behind
  redirect(files + "/in", O_RDONLY, STDIN_FILENO);
  redirect(files + "/out", O_WRONLY | O_CREAT | O_APPEND, STDOUT_FILENO);
  redirect(files + "/err", O_WRONLY | O_CREAT | O_APPEND, STDERR_FILENO);
  if (!options.folder.empty() && ::chdir(options.folder.c_str()) != 0) ::_exit(126);
  if (options.prepare) options.prepare();
  for (const std::string& variable : options.environment) ::putenv(const_cast<char*>(variable.c_str()));
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const Options& options) {
  write_file(folder_ / "in", options.input);
  pid_ = weft::test::forked();
  if (pid_ == 0) exec(arguments, options, folder_.path().string());
  if (pid_ < 0) throw std::runtime_error("fork");
}

Process::~Process() {
  if (!is_running()) return;
  signal(SIGKILL);
  (void)reap(true);
}

bool Process::reap(bool may_wait) {
  if (exit_code_) return true;
  int status = 0;
  if (::waitpid(pid_, &status, may_wait ? 0 : WNOHANG) != pid_) return false;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return true;
}

bool Process::is_running() {
  return !reap(false);
}

int Process::wait() {
  if (eventually([&] { return reap(false); })) return *exit_code_;
  ADD_FAILURE() << "process " << pid_ << " did not end\n" << out() << err();
  return -1;
}

void Process::signal(int number) const {
  if (!exit_code_) ::kill(pid_, number);
}

std::string weft_path() {
  return weft::test::build_dir() + "/apps/weft/weft";
}

std::vector<std::string> weft(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), weft_path());
  return arguments;
}

std::vector<std::string> python(const std::string& script, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"python3", weft::test::source_dir() + "/tests/app/scripts/" + script});
  return arguments;
}

Result run(const std::vector<std::string>& arguments, const Process::Options& options) {
  Process process(arguments, options);
  const int code = process.wait();
  return {code, process.out(), process.err()};
}

// ---- the server

ServerProcess::ServerProcess(std::vector<std::string> options, const std::string& folder, int port,
                             const Process::Options& process)
    : folder_(folder) {
  if (folder.empty()) folder_ = own_folder_.emplace().path().string();
  std::vector<std::string> arguments = {"serve", folder_, "--port", std::to_string(port)};
  // Tests check what is stored, not that it survives a power cut.
  arguments.insert(arguments.end(), {"--fsync", "none"});
  arguments.insert(arguments.end(), options.begin(), options.end());
  process_.emplace(weft(arguments), process);
  const auto has_started = [&] { return process_->out().find("send to it") != std::string::npos; };
  if (!eventually([&] { return has_started() || !process_->is_running(); }) || !has_started()) {
    throw std::runtime_error("weft serve did not start: " + process_->err());
  }
  const std::string out = process_->out();
  const std::size_t begin = out.find("listening on 127.0.0.1:");
  port_ = std::atoi(out.c_str() + begin + std::string_view("listening on 127.0.0.1:").size());
}

std::string ServerProcess::address() const {
  return "127.0.0.1:" + std::to_string(port_);
}

std::string ServerProcess::at(std::string_view name) const {
  return address() + "/" + std::string(name);
}

int ServerProcess::stop() {
  process_->signal(SIGTERM);
  return process_->wait();
}

// ---- the raw client

RawClient::RawClient(int port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("connect");
  }
  timeval patience{};
  patience.tv_sec = std::chrono::seconds(kPatience).count();
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

RawClient::~RawClient() {
  ::close(socket_);
}

bool RawClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool RawClient::send_length(std::int32_t length) {
  char bytes[4];
  std::memcpy(bytes, &length, sizeof bytes);  // little-endian machines only, like the program's own files
  return send({bytes, sizeof bytes});
}

bool RawClient::send_frame(std::string_view bytes) {
  return send_length(static_cast<std::int32_t>(bytes.size())) && send(bytes);
}

bool RawClient::recv_exactly(char* to, std::size_t size) {
  while (size > 0) {
    const ssize_t n = ::recv(socket_, to, size, 0);
    if (n < 0 && errno == EAGAIN) ADD_FAILURE() << "the server says nothing";
    if (n <= 0) return false;
    to += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

std::optional<std::string> RawClient::recv_frame() {
  std::int32_t length = 0;
  if (!recv_exactly(reinterpret_cast<char*>(&length), sizeof length)) return std::nullopt;
  std::string frame(static_cast<std::size_t>(length), '\0');
  if (!recv_exactly(frame.data(), frame.size())) return std::nullopt;
  return frame;
}

bool RawClient::sees_the_end() {
  char ignored[4096];
  while (true) {
    const ssize_t n = ::recv(socket_, ignored, sizeof ignored, 0);
    if (n == 0) return true;
    if (n < 0) return errno != EAGAIN;
  }
}

void RawClient::shutdown_write() {
  ::shutdown(socket_, SHUT_WR);
}

}  // namespace weft::app::test
