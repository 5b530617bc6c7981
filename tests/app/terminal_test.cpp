// What somebody at a terminal sees while files travel.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "app/fixture.hpp"

namespace weft::app::test {
namespace {

constexpr unsigned short kColumns = 60;

/// A terminal without anybody before it: what is written to it can be read.
class Terminal {
 public:
  Terminal() : screen_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)) {
    if (screen_ < 0 || ::grantpt(screen_) != 0 || ::unlockpt(screen_) != 0) throw std::runtime_error("posix_openpt");
    keyboard_ = ::open(::ptsname(screen_), O_RDWR | O_NOCTTY | O_CLOEXEC);
    winsize size{};
    size.ws_row = 25;
    size.ws_col = kColumns;
    if (keyboard_ < 0 || ::ioctl(keyboard_, TIOCSWINSZ, &size) != 0) throw std::runtime_error("open a terminal");
  }
  ~Terminal() {
    ::close(keyboard_);
    ::close(screen_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// For a program whose standard error is this terminal.
  [[nodiscard]] Process::Options for_errors() const {
    Process::Options options;
    options.prepare = [this] {
      if (::dup2(keyboard_, STDERR_FILENO) < 0) ::_exit(126);
    };
    return options;
  }
  /// Everything written so far.
  const std::string& text() {
    char buffer[4096];
    for (ssize_t size; (size = ::read(screen_, buffer, sizeof buffer)) > 0;) {
      text_.append(buffer, static_cast<std::size_t>(size));
    }
    return text_;
  }

 private:
  int screen_;
  int keyboard_ = -1;
  std::string text_;
};

class TerminalTest : public ::testing::Test {
 protected:
  TempFolder files;
  ServerProcess server;
  Terminal terminal;

  void SetUp() override { write_file(files / "big", noise(4'000'000)); }

  // The transfer hangs until somebody has looked at it.
  template <class Condition>
  int run_until(const std::vector<std::string>& command, Condition seen) {
    server.process().signal(SIGSTOP);
    Process client(command, terminal.for_errors());
    EXPECT_TRUE(eventually(seen)) << terminal.text();
    server.process().signal(SIGCONT);
    const int code = client.wait();
    out_ = client.out();
    return code;
  }
  // When a bar would have been drawn three times.
  static auto after_a_while() {
    return [until = std::chrono::steady_clock::now() + 600ms] { return std::chrono::steady_clock::now() > until; };
  }
  bool shows_a_bar() { return terminal.text().find('%') != std::string::npos; }

  std::string out_;
};

TEST_F(TerminalTest, ShowsABarThatFitsAndGoesAway) {
  EXPECT_EQ(run_until(weft({"send", files / "big", server.address()}), [&] { return shows_a_bar(); }), 0);
  const std::string text = terminal.text();
  ASSERT_GT(text.size(), 10u);
  // Each drawing begins at the left edge, is not longer than the line, and wipes what the last one left.
  EXPECT_EQ(text[0], '\r');
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = text.find("\033[K", begin);
    ASSERT_NE(end, std::string::npos) << text;
    EXPECT_EQ(text[begin], '\r') << text;
    EXPECT_LT(end - begin - 1, kColumns) << text;
    EXPECT_EQ(text.find_first_of("\r\n", begin + 1), end + 3 < text.size() ? end + 3 : std::string::npos) << text;
    begin = end + 3;
  }
  EXPECT_TRUE(text.ends_with("\r\033[K")) << text;
  // One line at the end instead of one a file.
  EXPECT_EQ(out_.find("sent 1 file, "), 0u) << out_;
  EXPECT_TRUE(same_bytes(read_file(server.file("big")), noise(4'000'000)));
}

TEST_F(TerminalTest, ShowsABarForDownloadsToo) {
  write_file(server.file("theirs"), noise(4'000'000));
  EXPECT_EQ(run_until(weft({"get", server.at("theirs"), files.path().string()}), [&] { return shows_a_bar(); }), 0);
  EXPECT_TRUE(terminal.text().ends_with("\r\033[K")) << terminal.text();
  EXPECT_TRUE(same_bytes(read_file(files / "theirs"), noise(4'000'000)));
}

TEST_F(TerminalTest, ShowsNothingWhenAskedToBeQuiet) {
  EXPECT_EQ(run_until(weft({"send", "-q", files / "big", server.address()}), after_a_while()), 0);
  EXPECT_EQ(terminal.text(), "");
  EXPECT_EQ(out_, "");
}

TEST_F(TerminalTest, ShowsNoBarBesideJson) {
  EXPECT_EQ(run_until(weft({"send", "--json", files / "big", server.address()}), after_a_while()), 0);
  EXPECT_EQ(terminal.text(), "");
  EXPECT_EQ(out_.find("{"), 0u) << out_;
}

TEST_F(TerminalTest, MessagesDoNotMixWithTheBar) {
  write_file(server.file("big"), "another one");
  EXPECT_EQ(run_until(weft({"send", files / "big", server.address()}), [&] { return shows_a_bar(); }), 1);
  const std::string text = terminal.text();
  const std::size_t message = text.find("weft: big: ");
  ASSERT_NE(message, std::string::npos) << text;
  ASSERT_GE(message, 4u);
  EXPECT_EQ(text.substr(message - 4, 4), "\r\033[K") << text;
}

}  // namespace
}  // namespace weft::app::test
