#pragma once

#include <concepts>
#include <ranges>
#include <type_traits>
#include <utility>

#include <weft/detail/map_results.hpp>
#include <weft/futures/future.hpp>

namespace weft {

/// Whatever runs work elsewhere and gives a Future for it: code written for an Executor runs on threads, on fibers, and on what else comes.
///
///     template <weft::Executor E>
///     long total(E& executor, const std::vector<std::string>& names) {
///       long sum = 0;
///       for (long n : executor.map(count_words, names)) sum += n;
///       return sum;
///     }
///
/// All have, with one meaning (after Python concurrent.futures.Executor):
///
///   submit(callable, args...)     a Future of callable(args...), copies of which are kept until it ends; std::ref(x) to share x
///   map(callable, ranges...)      the results for all elements, in their order; may come with MapOptions in front
///   shutdown(options)             no more work: see Shutdown
template <class E>
concept Executor = requires(E& executor, int (*function)(int)) {
  { executor.submit(function, 1) } -> std::same_as<Future<int>>;
  executor.shutdown();
};

/// How an executor ends. `wait`: until all work is done and the workers are gone. `cancel_pending`: what has not begun is cancelled.
struct Shutdown {
  bool wait = true;
  bool cancel_pending = false;
};

/// map() by means of submit(): a base for executors of one's own, `class Mine : public weft::Mapping<Mine>`.
template <class Derived>
class Mapping {
 public:
  /// Calls callable(element...) for the elements of the ranges, in step, until the shortest ends. The callable is shared by all
  /// calls, which may run at once; of ranges that are lvalues the caller keeps the elements alive until the results are there.
  ///
  /// Returns a range of the results, in order, to go through once; going on waits for the next. A call that threw is thrown there;
  /// what follows has been called, too. Dropping it calls off what has not begun.
  template <class F, std::ranges::input_range... Ranges>
    requires(sizeof...(Ranges) > 0)
  [[nodiscard]] auto map(F&& callable, Ranges&&... ranges) {
    return map(MapOptions{}, std::forward<F>(callable), std::forward<Ranges>(ranges)...);
  }
  template <class F, std::ranges::input_range... Ranges>
    requires(sizeof...(Ranges) > 0)
  [[nodiscard]] auto map(const MapOptions& options, F&& callable, Ranges&&... ranges) {
    return detail::MapResults<Derived, std::decay_t<F>, std::views::all_t<Ranges>...>{
        static_cast<Derived&>(*this), options, std::forward<F>(callable), std::views::all(std::forward<Ranges>(ranges))...};
  }
};

}  // namespace weft
