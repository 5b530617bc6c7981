#pragma once

// What map() of an executor returns. Headers of weft only.

#include <algorithm>
#include <cstddef>
#include <deque>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/detail/next_iterator.hpp>
#include <weft/futures/future.hpp>

namespace weft {

/// How map() works.
struct MapOptions {
  Deadline deadline = Deadline::never();  ///< For all of it: a result that is not there then is a TimeoutError.
  std::size_t chunk_size = 1;             ///< So many calls in one task: for calls that take little time.
  std::size_t look_ahead = 0;             ///< So many tasks are on their way at most; 0: all, at once.
};

}  // namespace weft

namespace weft::detail {

[[noreturn]] void throw_map_timeout(std::size_t index);

/// Inputs, taken from several ranges in step until the shortest ends.
template <std::ranges::input_range... Ranges>
class InStep {
 public:
  using Arguments = std::tuple<std::ranges::range_value_t<Ranges>...>;

  explicit InStep(Ranges... ranges) : ranges_{std::move(ranges)...} {
    std::apply([&](auto&... range) { at_.emplace(std::ranges::begin(range)...); }, ranges_);
  }
  InStep(const InStep&) = delete;
  InStep& operator=(const InStep&) = delete;

  [[nodiscard]] bool ended() {
    return ended_with(std::index_sequence_for<Ranges...>{});
  }
  [[nodiscard]] Arguments next() {
    return std::apply([](auto&... at) { return Arguments{*at++...}; }, *at_);
  }

 private:
  template <std::size_t... I>
  bool ended_with(std::index_sequence<I...>) {
    return ((std::get<I>(*at_) == std::ranges::end(std::get<I>(ranges_))) || ...);
  }

  std::tuple<Ranges...> ranges_;
  std::optional<std::tuple<std::ranges::iterator_t<Ranges>...>> at_;
};

/// Executors that cannot take a closure have submit_chunk(callable, inputs).
template <class Executor>
concept SendsChunks = requires { typename Executor::SendsChunks; };

/// Futures in a row, of which those that have not begun are called off when nobody wants them any more.
template <class R>
struct OnTheirWay {
  OnTheirWay() = default;
  OnTheirWay(OnTheirWay&&) noexcept = default;
  OnTheirWay& operator=(OnTheirWay&&) = delete;
  ~OnTheirWay() {
    for (Future<R>& future : futures) (void)future.cancel();
  }

  std::deque<Future<R>> futures;
};

/// The results of map(), in the order of the inputs: a range to go through once. What is on its way when it is dropped is
/// called off, as far as it has not begun.
template <class Executor, class F, class... Ranges>
class MapResults {
  using Input = InStep<Ranges...>;
  using Arguments = typename Input::Arguments;
  using R = decltype(std::apply(std::declval<F&>(), std::declval<Arguments>()));
  static_assert(!std::is_void_v<R> && !std::is_reference_v<R>, "map() is for functions that return values; use submit() for others");
  using Chunk = std::vector<R>;

 public:
  using value_type = R;

  MapResults(Executor& executor, const MapOptions& options, F callable, Ranges... ranges)
      : executor_{&executor},
        options_{options},
        callable_{std::make_shared<F>(std::move(callable))},
        input_{std::make_unique<Input>(std::move(ranges)...)} {
    if (options_.chunk_size == 0) options_.chunk_size = 1;
    send();
  }
  MapResults(MapResults&&) noexcept = default;
  MapResults& operator=(MapResults&&) = delete;

  /// The next result. Nothing: that was the last. Throws: what the call threw; TimeoutError.
  [[nodiscard]] std::optional<R> next() {
    if (at_ == chunk_.size()) {
      if (on_their_way_.futures.empty()) return std::nullopt;
      receive();
    }
    ++count_;
    return std::move(chunk_[at_++]);
  }

  NextIterator<MapResults> begin() { return NextIterator<MapResults>{*this}; }
  static std::default_sentinel_t end() noexcept { return {}; }

 private:
  void send() {
    while (!input_->ended() && (options_.look_ahead == 0 || on_their_way_.futures.size() < options_.look_ahead)) {
      std::vector<Arguments> inputs;
      inputs.reserve(std::min<std::size_t>(options_.chunk_size, 1024));
      while (inputs.size() < options_.chunk_size && !input_->ended()) inputs.push_back(input_->next());
      on_their_way_.futures.push_back(submit(std::move(inputs)));
    }
  }

  Future<Chunk> submit(std::vector<Arguments> inputs) {
    if constexpr (SendsChunks<Executor>) {
      return executor_->submit_chunk(*callable_, inputs);
    } else {
      return executor_->submit([callable = callable_, given = std::move(inputs)]() mutable {
        Chunk chunk;
        chunk.reserve(given.size());
        for (Arguments& arguments : given) chunk.push_back(std::apply(*callable, std::move(arguments)));
        return chunk;
      });
    }
  }

  void receive() {
    if (!on_their_way_.futures.front().wait_until(options_.deadline)) throw_map_timeout(count_);
    Future<Chunk> future = std::move(on_their_way_.futures.front());
    on_their_way_.futures.pop_front();
    send();
    chunk_ = future.get();
    at_ = 0;
  }

  Executor* executor_;
  MapOptions options_;
  std::shared_ptr<F> callable_;
  std::unique_ptr<Input> input_;
  OnTheirWay<Chunk> on_their_way_;
  Chunk chunk_;
  std::size_t at_ = 0;
  std::size_t count_ = 0;
};

}  // namespace weft::detail
