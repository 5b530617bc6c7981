#pragma once

#include <ranges>
#include <utility>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/detail/gathered.hpp>
#include <weft/futures/future.hpp>
#include <weft/futures/wait.hpp>

namespace weft {

namespace detail {

template <FutureRange Futures>
[[nodiscard]] auto take_handles(Futures& futures) {
  std::vector<std::ranges::range_value_t<Futures>> taken;
  for (auto& future : futures) {
    check_handle(future);
    taken.push_back(std::move(future));
  }
  return taken;
}

}  // namespace detail

/// One future for several, without waiting. The futures are moved in: what they refer to goes on whatever becomes of the result.
///
///     weft::Future<std::vector<Page>> pages = weft::when_all(std::move(fetches));
///     auto [user, orders] = weft::when_all(pool.submit(load_user, id), pool.submit(load_orders, id)).get();
///
/// Semantics:     after JavaScript's Promise.all and Python asyncio.gather: all values, in the order given, or the first failure,
///                at once; a future that is cancelled counts as a failure. cancel() of the result leaves the others alone.
/// Thread-safety: from anywhere. Blocking: never.
/// Cost:          one block of memory for all; a step for each, in the context that ends it.

/// A vector of their values; void of voids.
template <detail::FutureRange Futures>
  requires(!std::is_lvalue_reference_v<Futures>)
[[nodiscard]] auto when_all(Futures&& futures) {
  auto taken = detail::take_handles(futures);
  return detail::watch_with(new detail::AllOfRange<detail::ResultOf<std::ranges::range_value_t<Futures>>>{std::move(taken)});
}
/// A tuple of their values, with std::monostate for void.
template <class... R>
  requires(sizeof...(R) > 0)
[[nodiscard]] auto when_all(Future<R>... futures) {
  (detail::check_handle(futures), ...);
  return detail::watch_with(new detail::AllOfThese<R...>{std::move(futures)...});
}

/// The first that is done, as WhenAny: its index and its value, or what it failed with. Throws: InvalidStateError for none at all.
template <detail::FutureRange Futures>
  requires(!std::is_lvalue_reference_v<Futures>)
[[nodiscard]] auto when_any(Futures&& futures) {
  auto taken = detail::take_handles(futures);
  if (taken.empty()) throw InvalidStateError{"when_any: of no futures none will be the first"};
  return detail::watch_with(new detail::AnyOfRange<detail::ResultOf<std::ranges::range_value_t<Futures>>>{std::move(taken)});
}

}  // namespace weft
