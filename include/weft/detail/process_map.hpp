#pragma once

// What map() and its like of a Pool send, and the ranges of results that imap() and imap_unordered() give. Headers of weft only.

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/detail/map_results.hpp>
#include <weft/detail/next_iterator.hpp>
#include <weft/detail/process_pool.hpp>
#include <weft/futures/wait.hpp>

namespace weft::detail {


/// Calls callable(*tuple): what starmap() sends.
template <class F>
struct Starred {
  F callable;
  template <class Tuple>
  auto operator()(Tuple&& arguments) const {
    return std::apply(callable, std::forward<Tuple>(arguments));
  }
};
/// Calls callable(element), whose result is nothing.
template <class F>
struct ForEffect {
  F callable;
  template <class Element>
  char operator()(Element&& element) const {
    callable(std::forward<Element>(element));
    return 0;
  }
};

template <class F, class Element>
inline constexpr bool is_called_with = std::is_invocable_v<F, Element>;
template <class F, class Tuple>
inline constexpr bool is_called_with<Starred<F>, Tuple> = requires(F& callable, Tuple tuple) { std::apply(callable, std::move(tuple)); };

/// Refuses what cannot be mapped, by one message. Whether it can.
template <class F, class Range>
consteval bool can_be_mapped() {
  using Element = std::ranges::range_value_t<Range>;
  if constexpr (!sendable<Element>) {
    require_sendable<Element>();
    return false;
  } else {
    static_assert(is_called_with<F, Element>,
                  "weft: the function of map() cannot be called with an element of the range, copies of which are sent to another process");
    return is_called_with<F, Element>;
  }
}
/// The same, for what gives a range of results.
template <class F, class Range>
consteval bool can_be_mapped_to_results() {
  if constexpr (can_be_mapped<F, Range>()) {
    constexpr bool kGives = !std::is_void_v<SentResult<F, std::ranges::range_value_t<Range>>>;
    static_assert(kGives, "weft: imap() and map_async() are for functions that return values; map() takes others as well");
    return kGives;
  } else {
    return false;
  }
}

/// map() by means of the pool's chunks.
class ChunkSender {
 public:
  using SendsChunks = void;
  explicit ChunkSender(std::shared_ptr<ProcessPoolCore> core) : core_{std::move(core)} {}
  template <class F, class Arguments>
  auto submit_chunk(const F& callable, const std::vector<Arguments>& inputs) {
    return submit_sent_chunk(core_, limits_of(*core_, {}), callable, inputs);
  }

 private:
  std::shared_ptr<ProcessPoolCore> core_;
};

/// The results of imap_unordered(): as they come. A range to go through once.
template <class F, class Range>
class UnorderedResults {
  using Input = InStep<Range>;
  using Arguments = typename Input::Arguments;

 public:
  using value_type = SentResult<F, std::ranges::range_value_t<Range>>;

  UnorderedResults(std::shared_ptr<ProcessPoolCore> core, const MapOptions& options, F callable, Range range)
      : sender_{std::move(core)}, options_{options}, callable_{std::move(callable)}, input_{std::make_unique<Input>(std::move(range))} {
    send();
  }
  UnorderedResults(UnorderedResults&&) noexcept = default;
  UnorderedResults& operator=(UnorderedResults&&) = delete;

  /// The next to be there. Nothing: that was the last. Throws: what the call threw; TimeoutError.
  [[nodiscard]] std::optional<value_type> next() {
    if (at_ == chunk_.size()) {
      if (on_their_way_.futures.empty()) return std::nullopt;
      receive();
    }
    ++count_;
    return std::move(chunk_[at_++]);
  }
  NextIterator<UnorderedResults> begin() { return NextIterator<UnorderedResults>{*this}; }
  static std::default_sentinel_t end() noexcept { return {}; }

 private:
  void send() {
    while (!input_->ended() && on_their_way_.futures.size() < options_.look_ahead) {
      std::vector<Arguments> inputs;
      while (inputs.size() < options_.chunk_size && !input_->ended()) inputs.push_back(input_->next());
      on_their_way_.futures.push_back(sender_.submit_chunk(callable_, inputs));
    }
  }
  void receive() {
    const auto first = wait(on_their_way_.futures, ReturnWhen::FirstCompleted, options_.deadline).done;
    if (first.empty()) throw_map_timeout(count_);
    const auto at = on_their_way_.futures.begin() + static_cast<std::ptrdiff_t>(first.front());
    Future<std::vector<value_type>> future = std::move(*at);
    on_their_way_.futures.erase(at);
    send();
    chunk_ = future.get();
    at_ = 0;
  }

  ChunkSender sender_;
  MapOptions options_;
  F callable_;
  std::unique_ptr<Input> input_;
  OnTheirWay<std::vector<value_type>> on_their_way_;
  std::vector<value_type> chunk_;
  std::size_t at_ = 0;
  std::size_t count_ = 0;
};

/// map() through a sender that the results own.
template <class F, class Range>
class OrderedResults {
  using Results = MapResults<ChunkSender, F, Range>;

 public:
  using value_type = typename Results::value_type;

  OrderedResults(std::shared_ptr<ProcessPoolCore> core, const MapOptions& options, F callable, Range range)
      : sender_{std::make_unique<ChunkSender>(std::move(core))},
        results_{*sender_, options, std::move(callable), std::move(range)} {}

  /// The next result, in the order of the inputs. Nothing: that was the last. Throws: what the call threw; TimeoutError.
  [[nodiscard]] std::optional<value_type> next() { return results_.next(); }
  NextIterator<OrderedResults> begin() { return NextIterator<OrderedResults>{*this}; }
  static std::default_sentinel_t end() noexcept { return {}; }

 private:
  std::unique_ptr<ChunkSender> sender_;
  Results results_;
};

/// The results of a chunk, behind those of the chunks before it.
template <class R>
void append(std::vector<R>& all, std::vector<R> part) {
  all.insert(all.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
}

}  // namespace weft::detail
