#pragma once

// What when_all() and when_any() give. Headers of weft only.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <weft/futures/future.hpp>

namespace weft {

/// The first of several that was done: which, and its value.
template <class R>
struct WhenAny {
  std::size_t index;
  R value;
};
template <>
struct WhenAny<void> {
  std::size_t index;
};

}  // namespace weft

namespace weft::detail {

/// A result that is made of the results of others, of which each has a hook and, for that, a reference.
template <class Out>
class Gathered : public FutureResult<Out> {
 public:
  explicit Gathered(std::size_t count)
      : FutureResult<Out>{static_cast<std::uint32_t>(count + 1)}, hooks_(count), left_{count} {}

 protected:
  class Hook final : public DoneHook {
   public:
    Hook() { calls = Calls::Gatherers; }
    void on_done(FutureState& future) noexcept override {
      of->one_is_done(static_cast<std::size_t>(this - of->hooks_.data()), future);
      of->release();
    }
    Gathered* of = nullptr;
  };

  virtual void one_is_done(std::size_t index, FutureState& future) noexcept = 0;

  void watch(std::size_t index, FutureState& future) {
    hooks_[index].of = this;
    future.link(hooks_[index]);
  }

  /// True for the caller that comes last; what all before him did is visible to him.
  [[nodiscard]] bool count_down() noexcept { return left_.fetch_sub(1, std::memory_order_acq_rel) == 1; }

  // One of them decides, and not if it has been cancelled: begin() knows.
  template <class Make>
  [[nodiscard]] bool try_decide(Make make) noexcept {
    if (!this->begin(nullptr)) return false;
    try {
      this->keep(make);
    } catch (...) {
      this->fail(std::current_exception());
    }
    return true;
  }
  template <class Make>
  void decide(Make make) noexcept {
    if (try_decide(std::move(make))) this->publish();
  }
  void decide_as_failed(const FutureState& future) noexcept {
    decide([&]() -> Out {
      future.throw_failure();
      std::terminate();  // never: it has failed
    });
  }
  [[nodiscard]] static bool is_failed(const FutureState& future) noexcept {
    return future.cancelled() || future.failure() != nullptr;
  }

 private:
  std::vector<Hook> hooks_;
  std::atomic<std::size_t> left_;
};

template <class R>
using Gatherable = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

template <class R>
Gatherable<R> take_gathered(Future<R>& future) {
  if constexpr (std::is_void_v<R>) {
    future.get();
    return {};
  } else {
    return future.get();
  }
}

template <class R>
class AllOfRange final : public Gathered<std::conditional_t<std::is_void_v<R>, void, std::vector<Gatherable<R>>>> {
  using Out = std::conditional_t<std::is_void_v<R>, void, std::vector<Gatherable<R>>>;

 public:
  explicit AllOfRange(std::vector<Future<R>> futures) : Gathered<Out>{futures.size()}, futures_{std::move(futures)} {}
  void watch_all() {
    if (futures_.empty()) return this->decide([]() -> Out { return Out(); });
    for (std::size_t i = 0; i < futures_.size(); ++i) this->watch(i, FutureAccess::state(futures_[i]));
  }

 private:
  void one_is_done(std::size_t, FutureState& future) noexcept override {
    if (this->is_failed(future)) this->decide_as_failed(future);
    if (this->count_down()) this->decide([&] { return collect(); });
  }
  Out collect() {
    if constexpr (!std::is_void_v<R>) {
      Out all;
      all.reserve(futures_.size());
      for (Future<R>& future : futures_) all.push_back(future.get());
      return all;
    }
  }

  std::vector<Future<R>> futures_;
};

template <class... R>
class AllOfThese final : public Gathered<std::tuple<Gatherable<R>...>> {
  using Out = std::tuple<Gatherable<R>...>;

 public:
  explicit AllOfThese(Future<R>... futures) : Gathered<Out>{sizeof...(R)}, futures_{std::move(futures)...} {}
  void watch_all() {
    std::size_t index = 0;
    std::apply([&](auto&... future) { (this->watch(index++, FutureAccess::state(future)), ...); }, futures_);
  }

 private:
  void one_is_done(std::size_t, FutureState& future) noexcept override {
    if (this->is_failed(future)) this->decide_as_failed(future);
    if (!this->count_down()) return;
    this->decide([&] { return std::apply([](auto&... each) { return Out{take_gathered(each)...}; }, futures_); });
  }

  std::tuple<Future<R>...> futures_;
};

template <class R>
class AnyOfRange final : public Gathered<WhenAny<R>> {
 public:
  explicit AnyOfRange(std::vector<Future<R>> futures) : Gathered<WhenAny<R>>{futures.size()}, futures_{std::move(futures)} {}
  void watch_all() {
    for (std::size_t i = 0; i < futures_.size(); ++i) this->watch(i, FutureAccess::state(futures_[i]));
  }

 private:
  void one_is_done(std::size_t index, FutureState& future) noexcept override {
    if (this->is_failed(future)) return this->decide_as_failed(future);
    this->decide([&] {
      if constexpr (std::is_void_v<R>) {
        return WhenAny<void>{index};
      } else {
        return WhenAny<R>{index, futures_[index].get()};
      }
    });
  }

  std::vector<Future<R>> futures_;
};

/// Throws for an empty handle.
template <class R>
void check_handle(const Future<R>& future) {
  (void)FutureAccess::state(future);
}

/// `gathered` watches, and gives its future.
template <class State>
[[nodiscard]] auto watch_with(State* gathered) {
  auto future = FutureAccess::adopt(*gathered);
  gathered->watch_all();
  return future;
}

}  // namespace weft::detail
