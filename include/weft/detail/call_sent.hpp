#pragma once

// How what has been sent is called. Headers of weft only.

#include <tuple>
#include <type_traits>
#include <utility>

namespace weft::detail {

template <class F, class... Args>
inline constexpr bool takes_values = std::is_invocable_v<F, Args...>;
/// A function may also take what was sent by reference: the copies are its own.
template <class F, class... Args>
inline constexpr bool takes_references = std::is_invocable_v<F&, Args&...>;

template <class F, class... Args>
decltype(auto) call_sent(F& callable, std::tuple<Args...>& arguments) {
  static_assert(takes_values<F, Args...> || takes_references<F, Args...>,
                "weft: the callable cannot be called with these arguments, which are copied (a C string as a std::string) and sent to the other "
                "process");
  if constexpr (takes_values<F, Args...>) {
    return std::apply(std::move(callable), std::move(arguments));
  } else if constexpr (takes_references<F, Args...>) {
    return std::apply(callable, arguments);
  }
}

/// What such a call gives, to be sent back.
template <class F, class... Args>
using SentResult = std::remove_cvref_t<decltype(call_sent(std::declval<F&>(), std::declval<std::tuple<Args...>&>()))>;

}  // namespace weft::detail
