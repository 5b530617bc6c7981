#pragma once

// What select() waits for at a queue.

#include <concepts>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/detail/queue_core.hpp>
#include <weft/detail/selectable.hpp>

namespace weft::detail {

struct ThrowAtEnd {};

/// What a case calls, and what it calls when the queue is shut down.
template <class F, class AtEnd = ThrowAtEnd>
struct Callables {
  F callable;
  [[no_unique_address]] AtEnd at_end{};

  void end(const char* operation) {
    if constexpr (std::is_same_v<AtEnd, ThrowAtEnd>) {
      throw_queue_shut_down(operation);
    } else {
      at_end();
    }
  }
};

template <class Store, class Callables>
class QueueGetCase final : public Selectable {
  using Core = QueueCore<Store>;
  using Result = typename Core::Result;

 public:
  QueueGetCase(Callables callables, Core& queue) : callables_(std::move(callables)), queue_{queue} {}

  bool try_now() override {
    item_.reset();
    const Result result = queue_.try_get(item_);
    ended_ = result == Result::ShutDown;
    return result != Result::NotNow;
  }
  bool enlist() noexcept override {
    waiting_ = {{}, &item_, false};
    return queue_.enlist_getter(entry, waiting_);
  }
  void withdraw() noexcept override { queue_.withdraw_getter(entry); }
  bool accept(Outcome how) noexcept override {
    ended_ = how == Core::kRefused;
    return ended_ || waiting_.moved;
  }
  void run() override {
    if (ended_) return callables_.end("select to get from");
    callables_.callable(std::move(*item_));
  }

 private:
  Callables callables_;
  Core& queue_;
  std::optional<typename Store::Value> item_;
  typename Core::Waiting waiting_;
  bool ended_ = false;
};

/// Offer: holds what is to be put, or refers to it; source() is what the store takes.
template <class Store, class Offer, class Callables>
class QueuePutCase final : public Selectable {
  using Core = QueueCore<Store>;
  using Result = typename Core::Result;

 public:
  QueuePutCase(Callables callables, Core& queue, Offer offer)
      : callables_(std::move(callables)), queue_{queue}, offer_(std::move(offer)) {}

  bool try_now() override {
    const Result result = queue_.try_put(offer_.source());
    ended_ = result == Result::ShutDown;
    return result != Result::NotNow;
  }
  bool enlist() noexcept override {
    waiting_ = {offer_.source(), nullptr, false};
    return queue_.enlist_putter(entry, waiting_);
  }
  void withdraw() noexcept override { queue_.withdraw_putter(entry); }
  bool accept(Outcome how) noexcept override {
    ended_ = how == Core::kRefused;
    return ended_ || waiting_.moved;
  }
  void run() override {
    if (ended_) return callables_.end("select to put into");
    callables_.callable();
  }

 private:
  Callables callables_;
  Core& queue_;
  Offer offer_;
  typename Core::Waiting waiting_;
  bool ended_ = false;
};

/// An item that was copied or converted; below, one that the caller moves in, which stays with him until it is put,
/// unless moving is copying.
template <class T, class From>
class Offered {
 public:
  explicit Offered(From from) : item_(std::forward<From>(from)) {}
  [[nodiscard]] T* source() noexcept { return std::addressof(item_); }

 private:
  T item_;
};
template <class T>
  requires(!std::is_trivially_copyable_v<T>)
class Offered<T, T&&> {
 public:
  explicit Offered(T&& item) : item_{std::addressof(item)} {}
  [[nodiscard]] T* source() noexcept { return item_; }

 private:
  T* item_;
};

template <class Source, class Priority, class Item>
class PrioritizedOffer {
 public:
  PrioritizedOffer(const Priority& priority, Item item) : priority_(priority), item_(std::move(item)) {}
  [[nodiscard]] Source source() noexcept { return {&priority_, item_.source()}; }

 private:
  Priority priority_;
  Item item_;
};

}  // namespace weft::detail
