#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/exit_code.hpp"
#include "client/options.hpp"
#include "client/progress.hpp"
#include "proto/refusal.hpp"
#include "weft/fiber/fiber.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/lock.hpp"

namespace weft::app {

/// Everything the user sees of a transfer, and what the exit code will be.
///
/// On a terminal: failures and a progress bar. Else: a plain line for each file. With --json: an object a line on
/// standard output, and nothing else there.
/// Thread-safety: all methods, from any fiber.
class Report {
 public:
  /// `verb` is what was done, in the past: "sent", "received".
  Report(const ClientOptions& options, std::string verb);
  /// Ends the bar.
  ~Report();

  [[nodiscard]] Progress& progress() noexcept { return progress_; }

  void file_done(std::string_view name, std::string_view stored_as, std::uint64_t bytes,
                 std::string_view sha256);
  /// The other end has the same file already.
  void file_same(std::string_view name, std::uint64_t bytes);
  void file_failed(std::string_view name, Code code, std::string_view why);
  /// Something the user should know, but no failure: "connection lost, trying again in 1 s".
  void note(std::string_view text);
  /// The whole transfer cannot go on.
  void give_up(ExitCode code, std::string_view why);
  /// The last line, or object.
  void summarize();

  [[nodiscard]] ExitCode exit_code() const;

 private:
  void draw_until_over();
  void draw_bar();
  void clear_bar();
  void out_line(std::string_view line);  // with lock_
  void err_line(std::string_view line);  // with lock_

  // Fixed after construction.
  const ClientOptions& options_;
  std::string verb_;
  bool has_bar_;
  Clock::time_point began_;

  Progress progress_;
  Event over_;
  Fiber<void> bar_;

  mutable Lock lock_;  // guards the rest, and the order of lines
  RateMeter meter_;
  bool is_bar_shown_ = false;
  std::uint64_t files_done_ = 0;
  std::uint64_t files_same_ = 0;
  std::uint64_t files_failed_ = 0;
  std::uint64_t bytes_ = 0;
  bool has_corrupt_ = false;
  bool has_denied_ = false;
  ExitCode given_up_ = ExitCode::Done;
};

}  // namespace weft::app
