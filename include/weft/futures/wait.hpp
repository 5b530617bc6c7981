#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <type_traits>
#include <vector>

#include <weft/base/deadline.hpp>
#include <weft/detail/completions.hpp>
#include <weft/futures/future.hpp>

namespace weft {

enum class ReturnWhen : std::uint8_t {
  FirstCompleted,  ///< One is done or cancelled.
  FirstException,  ///< One has failed, or all are done.
  AllCompleted
};

/// Which are done, however, and which are not: by their places in the range, in its order.
struct DoneAndNotDone {
  std::vector<std::size_t> done;
  std::vector<std::size_t> not_done;
};

namespace detail {

template <class Range>
concept FutureRange = std::ranges::forward_range<Range> && is_future<std::ranges::range_value_t<Range>>;

template <FutureRange Futures>
[[nodiscard]] std::vector<FutureState*> states_of(Futures&& futures) {
  std::vector<FutureState*> states;
  if constexpr (std::ranges::sized_range<Futures>) states.reserve(std::ranges::size(futures));
  for (auto& future : futures) states.push_back(&FutureAccess::state(future));
  return states;
}

}  // namespace detail

/// Waits until one or all of the futures are done, at most until the deadline; says which are.
///
/// Semantics:     after Python concurrent.futures.wait: it never throws what a future failed with. Of cancelled ones none is a
///                failure.
/// Thread-safety: from any thread or fiber; the handles must stay where they are meanwhile.
/// Blocking:      parks the fiber, or the thread when called outside one. Throws Cancelled when the caller is killed; AllCompleted
///                also DeadlockError.
/// Cost:          AllCompleted allocates only what it returns; the others one block for all futures.
template <detail::FutureRange Futures>
DoneAndNotDone wait(Futures&& futures, ReturnWhen when, Deadline deadline) {
  return detail::wait_for_futures(detail::states_of(futures), when == ReturnWhen::AllCompleted, when == ReturnWhen::FirstException,
                                  deadline);
}
template <detail::FutureRange Futures>
DoneAndNotDone wait(Futures&& futures, ReturnWhen when = ReturnWhen::AllCompleted) {
  return wait(futures, when, Deadline::never());
}
template <detail::FutureRange Futures, class Rep, class Period>
DoneAndNotDone wait(Futures&& futures, std::chrono::duration<Rep, Period> timeout) {
  return wait(futures, ReturnWhen::AllCompleted, Deadline::after(timeout));
}
template <detail::FutureRange Futures, class Rep, class Period>
DoneAndNotDone wait(Futures&& futures, ReturnWhen when, std::chrono::duration<Rep, Period> timeout) {
  return wait(futures, when, Deadline::after(timeout));
}

}  // namespace weft
