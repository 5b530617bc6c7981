#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/detail/helper.hpp>

namespace weft {

/// Calls callable() where it may block a whole thread without stopping other fibers: files, name look-ups, any C library.
///
/// On a fiber: on one of a growing set of helper threads, at most 64; beyond that, calls wait their turn. The fiber is
/// parked meanwhile. On a plain thread: right here.
/// Returns what callable() returns; throws what it throws.
/// Cancellation: before the call only. Once handed over it is waited for, because it may use the caller's variables.
/// Cost: two thread switches, 10 to 20 microseconds on a fiber.
template <class F>
auto blocking(F&& callable) -> std::invoke_result_t<F&> {
  using R = std::invoke_result_t<F&>;
  if (!detail::must_leave_worker()) return std::invoke(callable);
  if constexpr (std::is_void_v<R>) {
    detail::run_on_helper([&] { std::invoke(callable); });
  } else if constexpr (std::is_reference_v<R>) {
    std::remove_reference_t<R>* result = nullptr;
    detail::run_on_helper([&] {
      R bound = std::invoke(callable);
      result = std::addressof(bound);
    });
    return static_cast<R>(*result);
  } else {
    std::optional<R> result;
    detail::run_on_helper([&] { result.emplace(std::invoke(callable)); });
    return std::move(*result);
  }
}

}  // namespace weft
