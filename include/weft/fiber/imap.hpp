#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <variant>

#include <weft/detail/group_state.hpp>
#include <weft/fiber/fiber.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/queue/simple_queue.hpp>
#include <weft/sync/scope.hpp>
#include <weft/sync/semaphore.hpp>

namespace weft {

namespace detail {

/// What calls of a function that returns nothing give.
template <class R>
using ValueOf = std::conditional_t<std::is_void_v<R>, std::monostate, std::remove_cvref_t<R>>;

template <class F, class Range>
using Mapped = ValueOf<std::invoke_result_t<F&, std::ranges::range_value_t<Range>>>;

enum class MapOrder : std::uint8_t { AsGiven, AsEnded };

/// What the feeder of an imap(), the fibers it starts, and the consumer share.
template <class Value>
struct ImapState {
  /// A fiber that has begun or ended, or why there are no more; with neither, the end.
  struct Item {
    Fiber<Value> fiber;
    std::exception_ptr failure;
  };

  void one_less() {
    if (open.fetch_sub(1, std::memory_order_acq_rel) == 1) items.put({});
  }

  SimpleQueue<Item> items{"imap"};
  std::optional<Semaphore> ahead;  // how many more may be begun before results are taken
  std::shared_ptr<GroupState> members = std::make_shared<GroupState>();
  std::atomic<std::size_t> open{1};  // the feeder, and, in the order of ends, those whose end is to come
};

/// Starts a fiber for each element; itself the function of a fiber.
template <class Value, class F, class View>
class ImapFeeder {
 public:
  ImapFeeder(std::shared_ptr<ImapState<Value>> state, std::shared_ptr<GroupState> group, F function,
             View view, MapOrder order)
      : state_{std::move(state)},
        group_{std::move(group)},
        function_{std::make_shared<F>(std::move(function))},
        view_{std::move(view)},
        order_{order} {}

  void operator()() {
    for (auto&& element : view_) {
      yield();  // to what was begun; and ends a feeder that nothing else would stop
      if (state_->ahead) state_->ahead->acquire();
      Argument argument(std::forward<decltype(element)>(element));
      order_ == MapOrder::AsGiven ? begin_in_order(std::move(argument)) : begin(std::move(argument));
    }
  }

 private:
  using Argument = std::ranges::range_value_t<View>;

  void begin_in_order(Argument argument) {
    Fiber<Value> fiber = start(std::move(argument), [](Fiber<Value>&) {});
    state_->items.put({std::move(fiber), nullptr});
  }

  void begin(Argument argument) {
    state_->open.fetch_add(1, std::memory_order_relaxed);
    try {
      start(std::move(argument), [this](Fiber<Value>& fiber) {
        FiberAccess::task(fiber).link(LinkFor::AnyEnd, [state = state_](Task& ended) {
          ended.retain();
          state->items.put({Fiber<Value>{static_cast<TaskResult<Value>&>(ended)}, nullptr});
          state->one_less();
        });
      });
    } catch (...) {
      state_->one_less();
      throw;
    }
  }

  template <class Prepare>
  Fiber<Value> start(Argument argument, Prepare prepare) {
    const auto make = [&] {
      return make_task(
          nullptr,
          [f = function_](Argument taken) -> Value {
            if constexpr (std::is_void_v<std::invoke_result_t<F&, Argument>>) {
              std::invoke(*f, std::move(taken));
              return {};
            } else {
              return std::invoke(*f, std::move(taken));
            }
          },
          std::move(argument));
    };
    return start_in(*group_, state_->members.get(), make, prepare);
  }

  std::shared_ptr<ImapState<Value>> state_;
  std::shared_ptr<GroupState> group_;
  std::shared_ptr<F> function_;
  View view_;
  MapOrder order_;
};

}  // namespace detail

/// The results of a function called for each element of a range, each call in a fiber of its own: what Group::imap()
/// gives. A range to be gone through once.
///
/// Semantics:     after the iterators of gevent's imap. An element for which the function throws throws at its place,
///                from next() or the step of the iterator; next() can go on behind it. Differs: when the object goes
///                before the end, or by an exception, the calls that are left are killed, and waited for, as they may
///                use what is beside it on the stack.
/// Thread-safety: by one caller at a time. The function is called by many fibers at once, and the range is read by
///                another fiber, on another thread perhaps.
/// Blocking:      next(), and the destructor if something is left. A call that is interrupted (a kill, a Timeout) loses
///                no result.
template <class Value>
class Imap {
 public:
  class Iterator {
   public:
    using difference_type = std::ptrdiff_t;
    using value_type = Value;

    Iterator() = default;
    explicit Iterator(Imap& of) : of_{&of} { ++*this; }
    Value& operator*() const { return *of_->current_; }
    Value* operator->() const { return &*of_->current_; }
    Iterator& operator++() {
      of_->current_ = of_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !of_->current_; }

   private:
    Imap* of_ = nullptr;
  };

  template <class F, class View>
  Imap(std::shared_ptr<detail::GroupState> group, F function, View view, std::uint32_t look_ahead,
       detail::MapOrder order)
      : state_{std::make_shared<State>()} {
    if (look_ahead != 0) state_->ahead.emplace(look_ahead, "imap");
    feeder_ = spawn(detail::ImapFeeder<Value, F, View>{state_, std::move(group), std::move(function),
                                                       std::move(view), order});
    try {
      detail::FiberAccess::task(feeder_).link(detail::LinkFor::AnyEnd, [state = state_](detail::Task& ended) {
        ended.take_notice();
        if (!ended.succeeded()) state->items.put({{}, ended.failure()});
        state->one_less();
      });
    } catch (...) {
      end_all();
      throw;
    }
  }
  Imap(Imap&& other) noexcept = default;
  Imap& operator=(Imap&&) = delete;
  ~Imap() {
    if (state_) end_all();
  }

  /// Waits for the next result; nothing: that was all.
  std::optional<Value> next() {
    if (over_) return std::nullopt;
    if (!awaited_.valid()) {
      Item item = state_->items.get();
      if (item.failure) std::rethrow_exception(std::move(item.failure));
      over_ = !item.fiber.valid();
      if (over_) return std::nullopt;
      awaited_ = std::move(item.fiber);
    }
    awaited_.join();  // may be interrupted; then it is awaited yet
    Fiber<Value> ended = std::move(awaited_);
    if (state_->ahead) state_->ahead->release();
    return ended.get();
  }

  Iterator begin() { return Iterator{*this}; }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  using State = detail::ImapState<Value>;
  using Item = typename State::Item;

  void end_all() {
    const Shield shield;
    feeder_.kill_and_join();
    (void)state_->members->kill_and_join_until(Deadline::never());
  }

  std::shared_ptr<State> state_;
  Fiber<void> feeder_;
  Fiber<Value> awaited_;
  std::optional<Value> current_;  // what the iterator stands at
  bool over_ = false;
};

}  // namespace weft
