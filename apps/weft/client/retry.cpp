#include "client/retry.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "client/connection.hpp"

namespace weft::app {

namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstPause = 100ms;
constexpr Duration kLongestPause = 5s;

bool is_hopeless(const std::exception& failure) {
  if (const auto* bye = dynamic_cast<const SaidBye*>(&failure)) return !bye->is_worth_a_retry();
  // A server that breaks the protocol will do so again.
  return dynamic_cast<const ProtocolError*>(&failure) != nullptr;
}

}  // namespace

bool Retry::wait_after(const std::exception& failure, const Endpoint& server, Report& report, Event& stop) {
  if (stop.is_set()) return false;
  // What never worked is most likely misspelt: the user should hear of it at once.
  const bool is_busy = dynamic_cast<const SaidBye*>(&failure) != nullptr;
  if (is_hopeless(failure) || (!has_connected_.load() && !is_busy)) {
    report.give_up(exit_code_of(failure), fmt::format("{}: {}", server.server(), failure.what()));
    return false;
  }
  if (has_progressed_.exchange(false) || !is_in_trouble_) {
    is_in_trouble_ = true;
    give_up_at_ = Deadline::after(options_.retry_for);
    pause_ = kFirstPause;
    report.note(fmt::format("{}: {}; trying again", server.server(), failure.what()));
  }
  if (give_up_at_.has_passed()) {
    report.give_up(ExitCode::Unreachable, fmt::format("{}: {}; given up", server.server(), failure.what()));
    return false;
  }
  (void)stop.wait_for(pause_);
  pause_ = std::min(2 * pause_, kLongestPause);
  return !stop.is_set();
}

ExitCode exit_code_of(const std::exception& failure) {
  const auto* bye = dynamic_cast<const SaidBye*>(&failure);
  return bye && bye->code() == Code::Denied ? ExitCode::Denied : ExitCode::Unreachable;
}

}  // namespace weft::app
