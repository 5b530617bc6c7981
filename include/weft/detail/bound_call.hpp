#pragma once

#include <functional>
#include <type_traits>
#include <utility>

namespace weft::detail {

template <class F, class... Args>
using BoundResult = std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>;

/// callable(args...), to be called once and elsewhere: holds copies of all, or what was moved in.
template <class F, class... Args>
[[nodiscard]] auto bind_call(F&& callable, Args&&... args) {
  static_assert(std::is_invocable_v<std::decay_t<F>, std::decay_t<Args>...>,
                "the callable cannot be called with these arguments, which are copied or moved to where it runs first; "
                "pass std::ref(x) to share x");
  return [f = std::decay_t<F>(std::forward<F>(callable)),
          ... a = std::decay_t<Args>(std::forward<Args>(args))]() mutable -> decltype(auto) {
    return std::invoke(std::move(f), std::move(a)...);
  };
}

}  // namespace weft::detail
