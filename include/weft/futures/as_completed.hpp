#pragma once

#include <chrono>
#include <cstddef>
#include <iterator>
#include <ranges>
#include <utility>
#include <vector>

#include <weft/base/deadline.hpp>
#include <weft/detail/next_iterator.hpp>
#include <weft/futures/wait.hpp>

namespace weft {

namespace detail {

[[noreturn]] void throw_as_completed_timeout(std::size_t left, std::size_t all);

template <class R>
class AsCompleted {
 public:
  template <class Futures>
  AsCompleted(Futures& futures, Deadline deadline) : deadline_{deadline}, watching_{states_of(futures)} {
    for (auto& future : futures) futures_.push_back(&future);
  }

  NextIterator<AsCompleted> begin() { return NextIterator<AsCompleted>{*this}; }
  static std::default_sentinel_t end() noexcept { return {}; }

  /// Null: those were all. Throws: TimeoutError; what interrupts a wait.
  Future<R>* next() {
    if (count_ == futures_.size()) return nullptr;
    const std::size_t number = watching_.next(deadline_);
    if (number == SIZE_MAX) throw_as_completed_timeout(futures_.size() - count_, futures_.size());
    ++count_;
    return futures_[number];
  }

 private:
  Deadline deadline_;
  std::vector<Future<R>*> futures_;
  Watching watching_;
  std::size_t count_ = 0;
};

}  // namespace detail

/// The futures of a range as they become done, however: a range of references to the very handles, to go through once.
///
///     for (weft::Future<long>& done : weft::as_completed(futures, 30s)) total += done.get();
///
/// Semantics:     after Python concurrent.futures.as_completed. TimeoutError is thrown by going on, when not all are done in time,
///                counted from here.
/// Thread-safety: from any thread or fiber; the handles must stay where they are, and be valid, meanwhile.
/// Blocking:      going on parks the fiber, or the thread when called outside one. Throws Cancelled when the caller is killed.
/// Cost:          one block of memory for all; a step for each.
template <detail::FutureRange Futures>
[[nodiscard]] auto as_completed(Futures& futures, Deadline deadline) {
  return detail::AsCompleted<detail::ResultOf<std::ranges::range_value_t<Futures>>>{futures, deadline};
}
template <detail::FutureRange Futures>
[[nodiscard]] auto as_completed(Futures& futures) {
  return as_completed(futures, Deadline::never());
}
template <detail::FutureRange Futures, class Rep, class Period>
[[nodiscard]] auto as_completed(Futures& futures, std::chrono::duration<Rep, Period> timeout) {
  return as_completed(futures, Deadline::after(timeout));
}

}  // namespace weft
