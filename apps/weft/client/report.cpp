#include "client/report.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "weft/fiber/spawn.hpp"

namespace weft::app {

namespace {

using namespace std::chrono_literals;
using nlohmann::json;

unsigned terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col - 1u : 79u;
}

std::string dump(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

Report::Report(const ClientOptions& options, std::string verb)
    : options_(options),
      verb_(std::move(verb)),
      has_bar_(!options.quiet && !options.json && ::isatty(STDERR_FILENO) == 1),
      began_(Clock::now()) {
  if (has_bar_) bar_ = spawn([this] { draw_until_over(); });
}

Report::~Report() {
  over_.set();
  if (bar_.valid()) bar_.join();
}

void Report::draw_until_over() {
  while (!over_.wait_for(200ms)) {
    const std::lock_guard guard(lock_);
    draw_bar();
  }
  const std::lock_guard guard(lock_);
  clear_bar();
}

void Report::draw_bar() {
  const double rate = meter_.update(progress_.bytes_moved.load(), Clock::now());
  const std::string line =
      progress_line(progress_.bytes_done.load(), progress_.bytes_known.load(), rate,
                    progress_.files_done.load(), progress_.files_known.load(), terminal_columns());
  fmt::print(stderr, "\r{}\033[K", line);
  std::fflush(stderr);
  is_bar_shown_ = true;
}

void Report::clear_bar() {
  if (!is_bar_shown_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  is_bar_shown_ = false;
}

void Report::out_line(std::string_view line) {
  clear_bar();
  fmt::print(stdout, "{}\n", line);
  // Whoever follows the output through a pipe wants each line when it is true.
  std::fflush(stdout);
}

void Report::err_line(std::string_view line) {
  clear_bar();
  fmt::print(stderr, "{}\n", line);
}

void Report::file_done(std::string_view name, std::string_view stored_as, std::uint64_t bytes,
                       std::string_view sha256) {
  const std::lock_guard guard(lock_);
  ++files_done_;
  bytes_ += bytes;
  progress_.files_done.fetch_add(1, std::memory_order_relaxed);
  const bool is_renamed = !stored_as.empty() && stored_as != name;
  if (options_.json) {
    json object = {{"event", "file"}, {"status", verb_}, {"name", name}, {"bytes", bytes}};
    if (!stored_as.empty()) object["stored_as"] = stored_as;
    if (!sha256.empty()) object["sha256"] = sha256;
    out_line(dump(object));
  } else if (!options_.quiet && (!has_bar_ || is_renamed)) {
    out_line(is_renamed ? fmt::format("{} {} as {} ({})", verb_, escaped(name), escaped(stored_as),
                                      bytes_text(bytes))
                        : fmt::format("{} {} ({})", verb_, escaped(name), bytes_text(bytes)));
  }
}

void Report::file_same(std::string_view name, std::uint64_t bytes) {
  const std::lock_guard guard(lock_);
  ++files_same_;
  progress_.files_done.fetch_add(1, std::memory_order_relaxed);
  if (options_.json) {
    out_line(dump({{"event", "file"}, {"status", "same"}, {"name", name}, {"bytes", bytes}}));
  } else if (!options_.quiet && !has_bar_) {
    out_line(fmt::format("already there: {} ({})", escaped(name), bytes_text(bytes)));
  }
}

void Report::file_failed(std::string_view name, Code code, std::string_view why) {
  const std::lock_guard guard(lock_);
  ++files_failed_;
  has_corrupt_ = has_corrupt_ || code == Code::Corrupt;
  has_denied_ = has_denied_ || code == Code::Denied;
  if (options_.json) {
    out_line(dump(
        {{"event", "file"}, {"status", "failed"}, {"name", name}, {"code", code_text(code)}, {"text", why}}));
  } else {
    err_line(fmt::format("weft: {}: {}", escaped(name), escaped(why)));
  }
}

void Report::note(std::string_view text) {
  const std::lock_guard guard(lock_);
  if (options_.json) {
    out_line(dump({{"event", "note"}, {"text", text}}));
  } else if (!options_.quiet) {
    err_line(fmt::format("weft: {}", escaped(text)));
  }
}

void Report::give_up(ExitCode code, std::string_view why) {
  const std::lock_guard guard(lock_);
  if (given_up_ != ExitCode::Done) return;  // the first reason is the reason
  given_up_ = code;
  if (options_.json) {
    out_line(dump({{"event", "failed"}, {"exit_code", static_cast<int>(code)}, {"text", why}}));
  } else {
    err_line(fmt::format("weft: {}", escaped(why)));
  }
}

void Report::summarize() {
  const std::lock_guard guard(lock_);
  const double seconds = std::chrono::duration<double>(Clock::now() - began_).count();
  const std::uint64_t moved = progress_.bytes_moved.load();
  if (options_.json) {
    out_line(dump({{"event", "summary"},
                   {"files", files_done_},
                   {"same", files_same_},
                   {"failed", files_failed_},
                   {"bytes", bytes_},
                   {"bytes_moved", moved},
                   {"seconds", seconds}}));
    return;
  }
  if (options_.quiet || (given_up_ != ExitCode::Done && files_done_ + files_same_ + files_failed_ == 0))
    return;
  std::string line = fmt::format("{} {} file{}, {} in {:.1f} s", verb_, files_done_,
                                 files_done_ == 1 ? "" : "s", bytes_text(bytes_), seconds);
  if (moved > 0 && seconds > 0) line += fmt::format(" ({})", rate_text(static_cast<double>(moved) / seconds));
  if (files_same_ > 0) line += fmt::format("; {} already there", files_same_);
  if (files_failed_ > 0) line += fmt::format("; {} failed", files_failed_);
  out_line(line);
}

ExitCode Report::exit_code() const {
  const std::lock_guard guard(lock_);
  if (given_up_ != ExitCode::Done) return given_up_;
  if (has_corrupt_) return ExitCode::Corrupt;
  if (has_denied_) return ExitCode::Denied;
  return files_failed_ > 0 ? ExitCode::Incomplete : ExitCode::Done;
}

}  // namespace weft::app
