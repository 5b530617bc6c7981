#pragma once

#include <chrono>
#include <memory>
#include <utility>

#include <weft/base/unique_function.hpp>
#include <weft/sync/event.hpp>
#include <weft/thread/thread.hpp>

namespace weft {

/// A thread that waits and then calls a function, unless cancelled before.
///
///     weft::Timer alarm{30s, [] { std::puts("hello"); }};
///     alarm.start();
///     alarm.cancel();
///
/// Semantics:     after Python threading.Timer: the time runs from start(). A handle, as Thread is: dropping it cancels
///                nothing.
/// Thread-safety, blocking, errors: those of Thread; cancel() from anywhere, never waits.
/// Cost:          a thread each, which sleeps.
class Timer : public Thread {
 public:
  template <class Rep, class Period, class F, class... Args>
  explicit Timer(std::chrono::duration<Rep, Period> delay, F&& callable, Args&&... args)
      : Timer{std::make_shared<Event>("Timer"), delay, bind(std::forward<F>(callable), std::forward<Args>(args)...)} {}

  /// The function will not be called; nothing when it has been, or is just being called.
  void cancel() noexcept { cancelled_->set(); }

 private:
  template <class Delay>
  Timer(std::shared_ptr<Event> cancelled, Delay delay, UniqueFunction<void()> call)
      : Thread{Droppable{},
               [cancelled, delay, call = std::move(call)]() mutable {
                 if (!cancelled->wait_for(delay)) call();
               }},
        cancelled_{std::move(cancelled)} {}

  std::shared_ptr<Event> cancelled_;
};

}  // namespace weft
