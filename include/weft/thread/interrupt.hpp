#pragma once

#include <csignal>
#include <initializer_list>
#include <memory>
#include <type_traits>
#include <utility>

#include <weft/base/error.hpp>

namespace weft {

/// While it lives, Ctrl-C does not end the program: the blocking call that the context which made it is in, and every later one,
/// throws KeyboardInterrupt there, so that destructors run: executors call off what has not begun, files are closed.
///
///     try {
///       weft::InterruptScope interrupts;
///       serve();
///     } catch (const weft::KeyboardInterrupt&) { ... }
///
/// Semantics:     after Python's KeyboardInterrupt, for whatever blocks in weft: Queue::join(), as_completed(), Future::get(), accept.
///                Differs: it is thrown by blocking calls only, and it is a Cancelled, no std::exception. A second signal has its
///                usual effect, at once.
/// Thread-safety: one at a time in a process, made and destroyed by one context, thread or fiber; otherwise InvalidStateError.
/// Signals:       handled with SA_RESTART; the handlers found are put back by the destructor. A child of fork() takes the signal as if
///                there were no scope.
/// Cost:          a thread of weft's own that sleeps.
class InterruptScope {
 public:
  explicit InterruptScope(std::initializer_list<int> signals = {SIGINT});
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;
  ~InterruptScope();

  /// The signal that came; 0: none.
  [[nodiscard]] int signal() const noexcept;
  /// Ends it now: the handlers found are put back. The signal that has come and because of which nothing has thrown KeyboardInterrupt, as
  /// nothing blocked any more; 0: none.
  int end() noexcept;

 private:
  class Watch;
  std::unique_ptr<Watch> watch_;
};

/// Ends the program by the signal's default action, as whoever started it expects: a shell then sees 128 + signal.
[[noreturn]] void end_by_signal(int signal);

/// What main() returns: body()'s value, or 0 if it has none. When Ctrl-C, or SIGTERM, interrupts it, destructors run and the program ends by
/// that signal; so it does when one came too late to interrupt anything. A body that catches KeyboardInterrupt decides for itself.
///
///     int main() { return weft::interruptible([] { work(); }); }
template <class F>
int interruptible(F&& body) {
  int signal = 0;
  int value = 0;
  try {
    InterruptScope interrupts{SIGINT, SIGTERM};
    if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
      std::forward<F>(body)();
    } else {
      value = std::forward<F>(body)();
    }
    signal = interrupts.end();
  } catch (const KeyboardInterrupt& interrupt) {
    signal = interrupt.signal();
  }
  if (signal == 0) return value;
  end_by_signal(signal);
}

}  // namespace weft
