#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/detail/map_results.hpp>
#include <weft/detail/next_iterator.hpp>
#include <weft/detail/process_pool.hpp>
#include <weft/futures/promise.hpp>
#include <weft/futures/wait.hpp>
#include <weft/process/start_method.hpp>

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

/// The chunks of a map_async(), until the last is done.
template <class R>
class ChunksToCome {
 public:
  explicit ChunksToCome(std::vector<Future<std::vector<R>>> chunks) : chunks_{std::move(chunks)}, left_{chunks_.size() + 1} {}

  static Future<std::vector<R>> all_of(std::vector<Future<std::vector<R>>> chunks) {
    const auto self = std::make_shared<ChunksToCome>(std::move(chunks));
    Future<std::vector<R>> all = self->promise_.future();
    for (Future<std::vector<R>>& chunk : self->chunks_) chunk.add_done_callback([self](auto&) { self->one_is_done(); });
    self->one_is_done();
    return all;
  }

 private:
  // Acquire and release: whoever comes last sees all of them done.
  void one_is_done() {
    if (left_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    try {
      std::vector<R> all;
      for (Future<std::vector<R>>& chunk : chunks_) {
        std::vector<R> part = chunk.get();
        all.insert(all.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
      }
      promise_.set_value(std::move(all));
    } catch (...) {
      promise_.set_exception(std::current_exception());
    }
    chunks_.clear();
  }

  Promise<std::vector<R>> promise_;
  std::vector<Future<std::vector<R>>> chunks_;
  std::atomic<std::size_t> left_;
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
  ~UnorderedResults() {
    for (auto& future : on_their_way_) (void)future.cancel();
  }

  /// The next to be there. Nothing: that was the last. Throws: what the call threw; TimeoutError.
  [[nodiscard]] std::optional<value_type> next() {
    if (at_ == chunk_.size()) {
      if (on_their_way_.empty()) return std::nullopt;
      receive();
    }
    ++count_;
    return std::move(chunk_[at_++]);
  }
  NextIterator<UnorderedResults> begin() { return NextIterator<UnorderedResults>{*this}; }
  static std::default_sentinel_t end() noexcept { return {}; }

 private:
  void send() {
    while (!input_->ended() && on_their_way_.size() < options_.look_ahead) {
      std::vector<Arguments> inputs;
      while (inputs.size() < options_.chunk_size && !input_->ended()) inputs.push_back(input_->next());
      on_their_way_.push_back(sender_.submit_chunk(callable_, inputs));
    }
  }
  void receive() {
    const auto first = wait(on_their_way_, ReturnWhen::FirstCompleted, options_.deadline).done;
    if (first.empty()) throw_map_timeout(count_);
    const auto at = on_their_way_.begin() + static_cast<std::ptrdiff_t>(first.front());
    Future<std::vector<value_type>> future = std::move(*at);
    on_their_way_.erase(at);
    send();
    chunk_ = future.get();
    at_ = 0;
  }

  ChunkSender sender_;
  MapOptions options_;
  F callable_;
  std::unique_ptr<Input> input_;
  std::vector<Future<std::vector<value_type>>> on_their_way_;
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

struct Nothing {
  template <class... T>
  void operator()(T&&...) const noexcept {}
};

}  // namespace weft::detail

namespace weft::process {

/// What apply_async() and map_async() call when they have ended, in this process: `callback(result)`, or `error_callback(std::exception_ptr)`.
template <class OnResult = weft::detail::Nothing, class OnError = weft::detail::Nothing>
struct Callbacks {
  OnResult callback{};
  OnError error_callback{};
};
template <class OnResult, class OnError>
Callbacks(OnResult, OnError) -> Callbacks<OnResult, OnError>;
template <class OnResult>
Callbacks(OnResult) -> Callbacks<OnResult>;

/// A number of processes that do calls: the words of Python's multiprocessing.Pool.
///
///     weft::process::Pool pool{4};
///     auto squares = pool.map([](long x) { return x * x; }, numbers);
///     auto later = pool.apply_async(weft::process::Callbacks{[](long n) { show(n); }}, count, name);
///     pool.close();
///     pool.join();
///
/// Semantics:     after Python multiprocessing.Pool: n workers from the start, used again. What is called, and what with, is as for
///                ProcessPoolExecutor, whose words on failures, deaths, Ctrl-C, callbacks and fork() hold here, too. Differs:
///                apply_async and map_async give a Future; a worker that dies fails its task, where Python's Pool waits for ever. The
///                destructor terminates, as Python's does at the end of a with block.
/// Size:          as of ProcessPoolExecutor, between `min_processes` and `processes`; differs: all are there from the start unless
///                `min_processes` is set.
///
///                    weft::process::Pool pool{{.processes = 8, .min_processes = 1, .idle_timeout = 10s}};
///
/// Chunks:        map cuts its range into about four chunks a worker unless told how; a chunk is one task: what one call throws, the chunk
///                throws.
/// Thread-safety: every method but the destructor, from any thread or fiber.
/// Errors:        ShutDown after close() or terminate(); BrokenExecutor.
class Pool {
 public:
  struct Config {
    unsigned processes = 0;                        ///< So many at most; 0: as many as this process has processors.
    std::optional<unsigned> min_processes = {};    ///< So many from the start, and always; all of them unless set.
    std::chrono::nanoseconds idle_timeout{0};      ///< A worker above these that is idle for so long ends; 0: never.
    SentCall initializer = {};                     ///< Called first in each worker. If it throws, the pool is broken.
    std::uint64_t max_tasks_per_child = 0;         ///< After so many a worker is replaced; 0: never.
    std::optional<StartMethod> start_method = {};  ///< That of get_start_method() unless set.
    std::string name = {};                         ///< "Pool-0" and so on unless set.
    std::chrono::nanoseconds task_timeout{0};      ///< So long may a task run; 0: no limit.
    unsigned retries = 0;                          ///< So often is a task begun again when its worker died.
  };

  explicit Pool(unsigned processes = 0) : Pool{Config{.processes = processes}} {}
  /// Throws: InvalidStateError: the minimum is above the maximum, or main() lacks weft::process::main(); OSError.
  explicit Pool(Config config);
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();

  /// callable(args...), waited for.
  template <class F, class... Args>
  auto apply(F&& callable, Args&&... args) {
    return apply_async(std::forward<F>(callable), std::forward<Args>(args)...).get();
  }
  template <class F, class... Args>
  auto apply_async(F&& callable, Args&&... args) {
    return weft::detail::submit_sent<std::decay_t<F>, weft::detail::SentAs<Args>...>(core_, weft::detail::limits_of(*core_, {}), callable,
                                                                                     args...);
  }
  template <class OnResult, class OnError, class F, class... Args>
  auto apply_async(Callbacks<OnResult, OnError> callbacks, F&& callable, Args&&... args) {
    return calling_back(apply_async(std::forward<F>(callable), std::forward<Args>(args)...), std::move(callbacks));
  }

  /// The results for all elements, in their order, waited for.
  template <class F, std::ranges::input_range Range>
  auto map(F callable, Range&& range, std::size_t chunk_size = 0) {
    using R = weft::detail::SentResult<F, std::ranges::range_value_t<Range>>;
    std::vector<R> all;
    if constexpr (std::ranges::sized_range<Range>) all.reserve(static_cast<std::size_t>(std::ranges::size(range)));
    // So many on their way that no worker waits, and no more, so that the same memory is used again and again.
    std::deque<Future<std::vector<R>>> chunks;
    const auto receive = [&] {
      std::vector<R> part = chunks.front().get();
      chunks.pop_front();
      all.insert(all.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
    };
    const std::size_t most = 16 * core_->most_workers();
    send_chunks(std::move(callable), std::forward<Range>(range), chunk_size, [&](Future<std::vector<R>> chunk) {
      chunks.push_back(std::move(chunk));
      if (chunks.size() > most) receive();
    });
    while (!chunks.empty()) receive();
    return all;
  }
  template <class F, std::ranges::input_range Range>
  auto map_async(F callable, Range&& range, std::size_t chunk_size = 0) {
    using R = weft::detail::SentResult<F, std::ranges::range_value_t<Range>>;
    std::vector<Future<std::vector<R>>> chunks;
    send_chunks(std::move(callable), std::forward<Range>(range), chunk_size,
                [&](Future<std::vector<R>> chunk) { chunks.push_back(std::move(chunk)); });
    return weft::detail::ChunksToCome<R>::all_of(std::move(chunks));
  }
  template <class OnResult, class OnError, class F, std::ranges::input_range Range>
  auto map_async(Callbacks<OnResult, OnError> callbacks, F callable, Range&& range, std::size_t chunk_size = 0) {
    return calling_back(map_async(std::move(callable), std::forward<Range>(range), chunk_size), std::move(callbacks));
  }
  /// The same for a range of tuples of arguments.
  template <class F, std::ranges::input_range Range>
  auto starmap(F callable, Range&& range, std::size_t chunk_size = 0) {
    return map(weft::detail::Starred<F>{std::move(callable)}, std::forward<Range>(range), chunk_size);
  }
  template <class F, std::ranges::input_range Range>
  auto starmap_async(F callable, Range&& range, std::size_t chunk_size = 0) {
    return map_async(weft::detail::Starred<F>{std::move(callable)}, std::forward<Range>(range), chunk_size);
  }

  /// The results as a range to go through once, in the order of the elements, which are taken as they are needed: at most `look_ahead`
  /// chunks are on their way (0: four a worker). Of an lvalue the caller keeps the elements alive. It outlives neither the pool nor close().
  template <class F, std::ranges::input_range Range>
  [[nodiscard]] auto imap(F callable, Range&& range, MapOptions options = {}) {
    return weft::detail::OrderedResults<F, std::views::all_t<Range>>{core_, bounded(options), std::move(callable),
                                                                     std::views::all(std::forward<Range>(range))};
  }
  /// The same in the order in which they come.
  template <class F, std::ranges::input_range Range>
  [[nodiscard]] auto imap_unordered(F callable, Range&& range, MapOptions options = {}) {
    return weft::detail::UnorderedResults<F, std::views::all_t<Range>>{core_, bounded(options), std::move(callable),
                                                                       std::views::all(std::forward<Range>(range))};
  }

  /// No more work; what there is will be done. Does not wait.
  void close() { core_->shutdown(false, false); }
  /// No more work: what has not begun is cancelled, what runs is ended by killing its worker, and fails with CancelledError.
  void terminate() { core_->terminate(true); }
  /// Waits until all is done and the workers have ended. Throws: InvalidStateError before close() or terminate().
  void join();

  /// Workers that there are now, those that are about to end among them.
  [[nodiscard]] std::size_t workers() const noexcept { return core_->workers(); }
  [[nodiscard]] std::vector<int> pids() const { return core_->pids(); }

 private:
  [[nodiscard]] MapOptions bounded(MapOptions options) const noexcept;

  template <class R, class OnResult, class OnError>
  static Future<R> calling_back(Future<R> future, Callbacks<OnResult, OnError> callbacks) {
    future.add_done_callback([callbacks = std::move(callbacks)](Future<R>& done) mutable {
      if (done.cancelled()) return;
      if (const std::exception_ptr why = done.exception()) {
        callbacks.error_callback(why);
      } else if constexpr (std::is_void_v<R>) {
        callbacks.callback();
      } else {
        callbacks.callback(done.result());
      }
    });
    return future;
  }

  template <class F, class Range, class Sent>
  void send_chunks(F callable, Range&& range, std::size_t chunk_size, Sent sent) {
    using Element = std::ranges::range_value_t<Range>;
    using R = weft::detail::SentResult<F, Element>;
    static_assert(!std::is_void_v<R>, "map() is for functions that return values; use apply_async() for others");
    std::vector<std::tuple<Element>> inputs;
    if constexpr (std::ranges::sized_range<Range>) {
      const auto size = static_cast<std::size_t>(std::ranges::size(range));
      if (chunk_size == 0) chunk_size = chunk_for(size, sizeof(Element));
      inputs.reserve(std::min(chunk_size, size));
    } else if (chunk_size == 0) {
      std::vector<Element> all;
      for (auto&& element : range) all.push_back(std::forward<decltype(element)>(element));
      return send_chunks(std::move(callable), std::move(all), chunk_for(all.size(), sizeof(Element)), std::move(sent));
    }
    weft::detail::ChunkSender sender{core_};
    for (auto&& element : range) {
      inputs.emplace_back(std::forward<decltype(element)>(element));
      if (inputs.size() < chunk_size) continue;
      sent(sender.submit_chunk(callable, inputs));
      inputs.clear();
    }
    if (!inputs.empty()) sent(sender.submit_chunk(callable, inputs));
  }
  [[nodiscard]] std::size_t chunk_for(std::size_t elements, std::size_t element_bytes) const noexcept;

  Pool(unsigned most, Config&& config);

  std::shared_ptr<weft::detail::ProcessPoolCore> core_;
};

}  // namespace weft::process
