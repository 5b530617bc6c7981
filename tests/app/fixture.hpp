#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What the tests of the program share: folders that vanish, processes that end, a client that may misbehave.
namespace weft::app::test {

using namespace std::chrono_literals;

/// Every wait in these tests ends by then at the latest: generous, because machines may be busy.
inline constexpr auto kPatience = 60s;

/// A fresh folder, removed at the end.
class TempFolder {
 public:
  /// Beneath `parent`; by default where tests keep temporary files.
  explicit TempFolder(const std::filesystem::path& parent = {});
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::string operator/(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

void write_file(const std::string& path, std::string_view content);
[[nodiscard]] std::string read_file(const std::string& path);
/// Reproducible bytes that do not compress into anything regular.
[[nodiscard]] std::string noise(std::size_t size, std::uint64_t seed = 1);
/// Whether they are equal; says where they are not, and does not print megabytes.
[[nodiscard]] testing::AssertionResult same_bytes(std::string_view actual, std::string_view expected);
/// Relative paths of all regular files beneath `folder`, sorted; the private folder left out.
[[nodiscard]] std::vector<std::string> files_in(const std::filesystem::path& folder);
/// Calls `condition` until it holds. False: it did not within kPatience.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition);
void short_pause();

/// A program of its own; its output goes to files, so that it never waits for us.
class Process {
 public:
  struct Options {
    std::string input;                     // standard input; empty: nothing
    std::vector<std::string> environment;  // NAME=VALUE, added to ours
    std::string folder;                    // where it runs; empty: here
    std::function<void()> prepare;         // called in the new process, before the program starts
  };
  explicit Process(const std::vector<std::string>& arguments) : Process(arguments, Options()) {}
  Process(const std::vector<std::string>& arguments, const Options& options);
  /// Kills it if it still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// The exit code, or 128 plus the signal. Fails the test and returns -1 when it takes longer than kPatience.
  int wait();
  [[nodiscard]] bool is_running();
  void signal(int number) const;
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::string out() const { return read_file(folder_ / "out"); }
  [[nodiscard]] std::string err() const { return read_file(folder_ / "err"); }

 private:
  bool reap(bool may_wait);

  TempFolder folder_;
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

/// Where the built program is.
[[nodiscard]] std::string weft_path();
/// The arguments of `weft ARGS`.
[[nodiscard]] std::vector<std::string> weft(std::vector<std::string> arguments);
/// A script beside the tests, run by Python.
[[nodiscard]] std::vector<std::string> python(const std::string& script, std::vector<std::string> arguments);

struct Result {
  int code = -1;
  std::string out;
  std::string err;
};
/// Runs it to its end.
Result run(const std::vector<std::string>& arguments, const Process::Options& options = {});

/// `weft serve` on a free port, with its folder.
class ServerProcess {
 public:
  /// `folder` empty: one of its own. `port` 0: any.
  explicit ServerProcess(std::vector<std::string> options = {}, const std::string& folder = {}, int port = 0,
                         const Process::Options& process = {});

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string address() const;                  // 127.0.0.1:PORT
  [[nodiscard]] std::string at(std::string_view name) const;  // 127.0.0.1:PORT/NAME
  [[nodiscard]] const std::string& folder() const { return folder_; }
  [[nodiscard]] std::string file(std::string_view name) const { return folder_ + "/" + std::string(name); }
  Process& process() { return *process_; }
  /// SIGTERM, and the exit code.
  int stop();

 private:
  std::optional<TempFolder> own_folder_;
  std::string folder_;
  std::optional<Process> process_;
  int port_ = 0;
};

/// A bare connection to a server, for saying things that weft's own client would never say.
class RawClient {
 public:
  explicit RawClient(int port);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  /// False when the server has hung up.
  bool send(std::string_view bytes);
  /// A length and the bytes.
  bool send_frame(std::string_view bytes);
  bool send_length(std::int32_t length);
  /// The next frame; nothing when the server hung up (or said nothing for kPatience, which fails the test).
  std::optional<std::string> recv_frame();
  /// Whether the server ends the connection, whatever it sends before.
  [[nodiscard]] bool sees_the_end();
  void shutdown_write();

 private:
  bool recv_exactly(char* to, std::size_t size);

  int socket_ = -1;
};

template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    short_pause();
  }
  return true;
}

}  // namespace weft::app::test
