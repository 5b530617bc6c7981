#include "client/interrupt.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "base/exit_code.hpp"

namespace weft::app {

namespace {

using namespace std::chrono_literals;

constexpr auto kStopTimeout = 2s;

}  // namespace

InterruptGuard::InterruptGuard(std::function<void()> stop, std::string farewell)
    : stop_(std::move(stop)), farewell_(std::move(farewell)), signals_([this](int count) {
        if (count == 1) stop_();
        if (count == 1 && is_over_.wait_for(kStopTimeout)) return;
        fmt::print(stderr, "\nweft: {}\n", farewell_);
        ::_exit(static_cast<int>(ExitCode::Interrupted));
      }) {}

InterruptGuard::~InterruptGuard() {
  is_over_.set();
}

}  // namespace weft::app
