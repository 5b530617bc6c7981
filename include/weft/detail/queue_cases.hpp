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

/// What getting and putting have in common: the queue may be shut down before, or while, the case waits.
template <class Store, class Callables>
class QueueCase : public Selectable {
 protected:
  using Core = QueueCore<Store>;
  using Result = typename Core::Result;

  QueueCase(Callables callables, Core& queue) : callables_(std::move(callables)), queue_{queue} {}

  bool accept(Outcome how) noexcept final {
    ended_ = how == Core::kRefused;
    return ended_ || waiting_.moved;
  }
  /// Whether an attempt has decided the case.
  [[nodiscard]] bool is_decided(Result result) noexcept {
    ended_ = result == Result::ShutDown;
    return result != Result::NotNow;
  }

  Callables callables_;
  Core& queue_;
  typename Core::Waiting waiting_;
  bool ended_ = false;
};

template <class Store, class Callables>
class QueueGetCase final : public QueueCase<Store, Callables> {
  using Base = QueueCase<Store, Callables>;

 public:
  QueueGetCase(Callables callables, QueueCore<Store>& queue) : Base{std::move(callables), queue} {}

  bool try_now() override {
    item_.reset();
    return this->is_decided(this->queue_.try_get(item_));
  }
  bool enlist() noexcept override {
    this->waiting_ = {{}, &item_, false};
    return this->queue_.enlist_getter(this->entry, this->waiting_);
  }
  void withdraw() noexcept override { this->queue_.withdraw_getter(this->entry); }
  void run() override {
    if (this->ended_) return this->callables_.end("select to get from");
    this->callables_.callable(std::move(*item_));
  }

 private:
  std::optional<typename Store::Value> item_;
};

/// Offer: holds what is to be put, or refers to it; source() is what the store takes.
template <class Store, class Offer, class Callables>
class QueuePutCase final : public QueueCase<Store, Callables> {
  using Base = QueueCase<Store, Callables>;

 public:
  QueuePutCase(Callables callables, QueueCore<Store>& queue, Offer offer)
      : Base{std::move(callables), queue}, offer_(std::move(offer)) {}

  bool try_now() override { return this->is_decided(this->queue_.try_put(offer_.source())); }
  bool enlist() noexcept override {
    this->waiting_ = {offer_.source(), nullptr, false};
    return this->queue_.enlist_putter(this->entry, this->waiting_);
  }
  void withdraw() noexcept override { this->queue_.withdraw_putter(this->entry); }
  void run() override {
    if (this->ended_) return this->callables_.end("select to put into");
    this->callables_.callable();
  }

 private:
  Offer offer_;
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
