#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/detail/gathered_chunks.hpp>
#include <weft/detail/process_map.hpp>
#include <weft/detail/process_pool.hpp>
#include <weft/futures/future.hpp>
#include <weft/process/start_method.hpp>

namespace weft::detail {

struct Nothing {
  template <class... T>
  void operator()(T&&...) const noexcept {}
};

}  // namespace weft::detail

namespace weft::process {

/// What apply_async() and map_async() call when they have ended, in this process and one at a time: `callback(result)`, or
/// `error_callback(std::exception_ptr)`; neither for what is cancelled. They are through before get() and the like see the end, as in Python.
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
/// Size:          as of ProcessPoolExecutor, between `min_processes` and `processes`; differs: all are started at once, and soon there, unless
///                `min_processes` is set.
///
///                    weft::process::Pool pool{{.processes = 8, .min_processes = 1, .idle_timeout = 10s}};
///
/// Fork:          workers by fork come from a thread of weft's own: a thread lock that the maker of the pool held is held there by nobody.
/// Order:         tasks begin in the order of their coming, within about a millisecond: what stands behind a task that takes longer is given
///                to others.
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
  /// Throws: InvalidStateError: the minimum is above the maximum, or main() lacks weft::process::main(); std::invalid_argument: more than
  /// 65536 workers; OSError.
  explicit Pool(Config config);
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();

  /// callable(args...), of which copies are sent, waited for. What is given by std::move() is gone afterwards: of a Socket or a
  /// Connection only the worker has an end then.
  template <class F, class... Args>
    requires(!std::is_same_v<std::decay_t<F>, TaskOptions>)
  auto apply(F&& callable, Args&&... args) {
    return apply(TaskOptions{}, std::forward<F>(callable), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
    requires(!std::is_same_v<std::decay_t<F>, TaskOptions>)
  auto apply_async(F&& callable, Args&&... args) {
    return apply_async(TaskOptions{}, std::forward<F>(callable), std::forward<Args>(args)...);
  }
  /// For a task that is treated in its own way.
  template <class F, class... Args>
  auto apply(const TaskOptions& options, F&& callable, Args&&... args) {
    return apply_async(options, std::forward<F>(callable), std::forward<Args>(args)...).get();
  }
  template <class F, class... Args>
  auto apply_async(const TaskOptions& options, F&& callable, Args&&... args) {
    return weft::detail::submit_given(weft::detail::UntoldTasks{}, core_, weft::detail::limits_of(*core_, options), std::forward<F>(callable),
                                      std::forward<Args>(args)...);
  }
  template <class OnResult, class OnError, class F, class... Args>
  auto apply_async(Callbacks<OnResult, OnError> callbacks, F&& callable, Args&&... args) {
    return weft::detail::submit_given(weft::detail::ToldTasks<Callbacks<OnResult, OnError>>{std::move(callbacks)}, core_,
                                      weft::detail::limits_of(*core_, {}), std::forward<F>(callable), std::forward<Args>(args)...);
  }

  /// The results for all elements, in their order, waited for; nothing, if the function returns nothing.
  template <class F, std::ranges::input_range Range>
  auto map(F callable, Range&& range, std::size_t chunk_size = 0) {
    return map(std::move(callable), std::forward<Range>(range), MapOptions{.chunk_size = chunk_size});
  }
  /// Throws TimeoutError when the deadline comes first; what has not begun is called off. `look_ahead` has no effect.
  template <class F, std::ranges::input_range Range>
  auto map(F callable, Range&& range, const MapOptions& options) {
    if constexpr (weft::detail::can_be_mapped<F, Range>()) {
      if constexpr (std::is_void_v<weft::detail::SentResult<F, std::ranges::range_value_t<Range>>>) {
        (void)map_to_results(weft::detail::ForEffect<F>{std::move(callable)}, std::forward<Range>(range), options);
      } else {
        return map_to_results(std::move(callable), std::forward<Range>(range), options);
      }
    }
  }
  template <class F, std::ranges::input_range Range>
  auto map_async(F callable, Range&& range, std::size_t chunk_size = 0) {
    return map_async_told(nullptr, std::move(callable), std::forward<Range>(range), chunk_size);
  }
  template <class OnResult, class OnError, class F, std::ranges::input_range Range>
  auto map_async(Callbacks<OnResult, OnError> callbacks, F callable, Range&& range, std::size_t chunk_size = 0) {
    return map_async_told(std::move(callbacks), std::move(callable), std::forward<Range>(range), chunk_size);
  }
  /// The same for a range of tuples of arguments.
  template <class F, std::ranges::input_range Range>
  auto starmap(F callable, Range&& range, std::size_t chunk_size = 0) {
    return map(weft::detail::Starred<F>{std::move(callable)}, std::forward<Range>(range), chunk_size);
  }
  template <class F, std::ranges::input_range Range>
  auto starmap(F callable, Range&& range, const MapOptions& options) {
    return map(weft::detail::Starred<F>{std::move(callable)}, std::forward<Range>(range), options);
  }
  template <class F, std::ranges::input_range Range>
  auto starmap_async(F callable, Range&& range, std::size_t chunk_size = 0) {
    return map_async(weft::detail::Starred<F>{std::move(callable)}, std::forward<Range>(range), chunk_size);
  }

  /// The results as a range to go through once, in the order of the elements, which are taken as they are needed: at most `look_ahead`
  /// chunks are on their way (0: four a worker). Of an lvalue the caller keeps the elements alive. It outlives neither the pool nor close().
  template <class F, std::ranges::input_range Range>
  [[nodiscard]] auto imap(F callable, Range&& range, MapOptions options = {}) {
    if constexpr (weft::detail::can_be_mapped_to_results<F, Range>()) {
      return weft::detail::OrderedResults<F, std::views::all_t<Range>>{core_, bounded(options), std::move(callable),
                                                                       std::views::all(std::forward<Range>(range))};
    }
  }
  /// The same in the order in which they come.
  template <class F, std::ranges::input_range Range>
  [[nodiscard]] auto imap_unordered(F callable, Range&& range, MapOptions options = {}) {
    if constexpr (weft::detail::can_be_mapped_to_results<F, Range>()) {
      return weft::detail::UnorderedResults<F, std::views::all_t<Range>>{core_, bounded(options), std::move(callable),
                                                                         std::views::all(std::forward<Range>(range))};
    }
  }

  /// No more work; what there is will be done. Does not wait.
  void close() { core_->shutdown(false, false); }
  /// No more work: what has not begun is cancelled, what runs is ended by killing its worker, and fails with CancelledError.
  void terminate() { core_->terminate(true); }
  /// Waits until all is done and the workers have ended. Throws: InvalidStateError before close() or terminate().
  void join() { (void)join_until(Deadline::never()); }
  /// False: not in time.
  template <class Rep, class Period>
  [[nodiscard]] bool join_for(std::chrono::duration<Rep, Period> timeout) {
    return join_until(Deadline::after(timeout));
  }
  [[nodiscard]] bool join_until(Deadline deadline);

  /// Workers that there are now, those that are about to end among them.
  [[nodiscard]] std::size_t workers() const noexcept { return core_->workers(); }
  [[nodiscard]] std::vector<int> pids() const { return core_->pids(); }

 private:
  [[nodiscard]] MapOptions bounded(MapOptions options) const noexcept;

  template <class F, class Range>
  auto map_to_results(F callable, Range&& range, const MapOptions& options) {
    using R = weft::detail::SentResult<F, std::ranges::range_value_t<Range>>;
    std::vector<R> all;
    if constexpr (std::ranges::sized_range<Range>) all.reserve(static_cast<std::size_t>(std::ranges::size(range)));
    // So many on their way that no worker waits, and no more, so that the same memory is used again and again.
    weft::detail::OnTheirWay<std::vector<R>> chunks;
    const auto receive = [&] {
      if (!chunks.futures.front().wait_until(options.deadline)) weft::detail::throw_map_timeout(all.size());
      weft::detail::append(all, chunks.futures.front().get());
      chunks.futures.pop_front();
    };
    const std::size_t most = 16 * core_->most_workers();
    send_chunks(std::move(callable), std::forward<Range>(range), options.chunk_size, [&](Future<std::vector<R>> chunk) {
      chunks.futures.push_back(std::move(chunk));
      if (chunks.futures.size() > most) receive();
    });
    while (!chunks.futures.empty()) receive();
    return all;
  }

  /// `callbacks`: nullptr, if there are none.
  template <class Callbacks, class F, class Range>
  auto map_async_told(Callbacks callbacks, F callable, Range&& range, std::size_t chunk_size) {
    if constexpr (weft::detail::can_be_mapped_to_results<F, Range>()) {
      using R = weft::detail::SentResult<F, std::ranges::range_value_t<Range>>;
      std::vector<Future<std::vector<R>>> chunks;
      send_chunks(std::move(callable), std::forward<Range>(range), chunk_size,
                  [&](Future<std::vector<R>> chunk) { chunks.push_back(std::move(chunk)); });
      return weft::detail::GatheredChunks<R, Callbacks>::of(core_, std::move(chunks), std::move(callbacks));
    }
  }

  template <class F, class Range, class Sent>
  void send_chunks(F callable, Range&& range, std::size_t chunk_size, Sent sent) {
    using Element = std::ranges::range_value_t<Range>;
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
