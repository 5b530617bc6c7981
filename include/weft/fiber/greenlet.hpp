#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/detail/greenlet_core.hpp>

namespace weft {

namespace detail {

template <class... T>
struct GreenletValues {
  using Tuple = std::tuple<T...>;
  using Received = std::optional<Tuple>;
};
template <class T>
struct GreenletValues<T> {
  using Tuple = std::tuple<T>;
  using Received = std::optional<T>;
};
template <>
struct GreenletValues<> {
  using Tuple = std::tuple<>;
  using Received = void;
};

template <class F, class... T>
class GreenletOf;

}  // namespace detail

/// A piece of code with a stack of its own, to which others switch by name and which switches to others by name. No
/// scheduler is involved: who runs next is said by whoever runs. Values of the types T are passed at each switch,
/// both ways.
///
///     weft::Greenlet<int> g{[](weft::Greenlet<int>& self, int first) { return self.parent().switch_to(first + 1); }};
///     g.switch_to(1);  // 2, and g waits in its own switch_to()
///     g.switch_to(7);  // 7, which g has returned: it is dead
///
/// The callable is called with the values of the first switch, after the greenlet itself if it can take that. Its
/// result, the values or nothing, goes to the parent when it ends: the greenlet that has made it, or another one that
/// it was given. If that has ended, to the parent's parent, and in the end to the thread or fiber proper, which is
/// the first greenlet of all. What it throws is thrown there too, but for GreenletExit, which ends it quietly.
///
/// Semantics:     after Python's greenlet; differs: the object that was made of the callable owns the greenlet. When
///                it is destroyed half-way, GreenletExit is thrown where the greenlet waits, so that its stack is
///                unwound, and again at each later switch until it has ended. What parent() and current() return, and
///                the `self` of the callable, refer to a greenlet and own nothing.
/// Thread-safety: none: a greenlet belongs to the thread or fiber that made it, and moves with the fiber from thread
///                to thread. Switching from elsewhere throws InvalidStateError. An owner that is destroyed elsewhere
///                leaves it to its thread or fiber, which ends all that are left when it ends itself.
/// Blocking:      a blocking call in a greenlet blocks its thread or fiber, and with it all greenlets of that. Locks,
///                Locals, scopes and a kill are those of the thread or fiber: Cancelled unwinds the greenlet that
///                blocks, then its parent.
/// Cost:          a switch, about ten nanoseconds; a greenlet, some hundred bytes and, while it is started, one page
///                and a little.
template <class... T>
class Greenlet {
  using Tuple = typename detail::GreenletValues<T...>::Tuple;
  static_assert((std::is_same_v<T, std::decay_t<T>> && ...), "values are passed; for references pass pointers");

 public:
  /// What a switch brings: std::optional<T>, std::optional<std::tuple<T...>> for several, void for none. Nothing
  /// comes from a greenlet that ended without a result.
  using Received = typename detail::GreenletValues<T...>::Received;

  Greenlet() noexcept = default;
  template <class F>
    requires(std::is_invocable_v<std::decay_t<F>&, Greenlet&, T...> || std::is_invocable_v<std::decay_t<F>&, T...>)
  explicit Greenlet(F&& callable) : Greenlet{GreenletOptions{}, std::forward<F>(callable)} {}
  template <class F>
    requires(std::is_invocable_v<std::decay_t<F>&, Greenlet&, T...> || std::is_invocable_v<std::decay_t<F>&, T...>)
  Greenlet(const GreenletOptions& options, F&& callable)
      : core_{new detail::GreenletOf<std::decay_t<F>, T...>{options, std::forward<F>(callable)}}, owns_{true} {}

  Greenlet(Greenlet&& other) noexcept
      : core_{std::exchange(other.core_, nullptr)}, owns_{std::exchange(other.owns_, false)} {}
  /// The greenlet that was owned is ended as by the destructor.
  Greenlet& operator=(Greenlet&& other) noexcept {
    Greenlet taken{std::move(other)};
    std::swap(core_, taken.core_);
    std::swap(owns_, taken.owns_);
    return *this;
  }
  ~Greenlet() {
    if (!core_) return;
    if (owns_) core_->end();
    core_->release();
  }

  /// Whoever runs: what the thread or fiber began with, or the greenlet it has switched to.
  [[nodiscard]] static Greenlet current() { return Greenlet{&detail::GreenletCore::current()}; }

  /// Goes on in that greenlet, where its own switch_to() returns the values, or at its begin. Returns what is passed
  /// to the caller when somebody switches back. A dead greenlet passes the values on to its parent.
  /// Throws: what was thrown into the caller, or came out of a greenlet whose parent it is; InvalidStateError when
  ///         the greenlet belongs to
  /// another thread or fiber, or whoever waits there waits for values of another type; OSError when there is no
  /// memory for a stack.
  Received switch_to(T... values) {
    std::optional<Tuple> received;
    const detail::Crossing way = core().way(typeid(Tuple));
    if (!way.to) {
      received.emplace(std::move(values)...);
    } else {
      if (way.inbox) static_cast<std::optional<Tuple>*>(way.inbox)->emplace(std::move(values)...);
      way.cross(&received, typeid(Tuple));
    }
    return taken_from(received);
  }

  /// Goes on in that greenlet, where its own switch_to() throws. One that has not started ends by that without
  /// running; for one that has ended the exception is thrown in its parent, and a GreenletExit is not thrown at all.
  Received throw_into(std::exception_ptr exception) {
    if (!exception) throw InvalidStateError{"throw_into: this std::exception_ptr holds no exception"};
    std::optional<Tuple> received;
    core().throw_in(std::move(exception), &received, typeid(Tuple));
    return taken_from(received);
  }
  template <class E = GreenletExit>
    requires(!std::is_same_v<E, std::exception_ptr>)
  Received throw_into(E exception = {}) {
    return throw_into(std::make_exception_ptr(std::move(exception)));
  }

  /// Who gets its result or its exception. Not valid: this is the first greenlet of a thread or fiber.
  [[nodiscard]] Greenlet parent() const { return Greenlet{core().parent()}; }
  /// Throws: InvalidStateError if they would become each other's parent, or belong to different threads or fibers.
  template <class... U>
  void set_parent(const Greenlet<U...>& parent) {
    core().set_parent(parent.core());
  }

  /// Refers to a greenlet: not empty, not moved from.
  [[nodiscard]] bool valid() const noexcept { return core_ != nullptr; }
  [[nodiscard]] bool started() const { return core().started(); }
  /// It has returned, thrown or been ended.
  [[nodiscard]] bool dead() const { return core().dead(); }
  /// "Greenlet-N" unless it was given one.
  [[nodiscard]] std::string name() const { return core().name(); }

  /// Whether they refer to the same greenlet.
  template <class... U>
  [[nodiscard]] bool is(const Greenlet<U...>& other) const noexcept {
    return static_cast<const void*>(core_) == other.core_;
  }

 private:
  template <class...>
  friend class Greenlet;
  template <class, class...>
  friend class detail::GreenletOf;

  explicit Greenlet(detail::GreenletCore* referred) noexcept : core_{referred} {
    if (core_) core_->retain();
  }

  [[nodiscard]] detail::GreenletCore& core() const {
    if (!core_) throw InvalidStateError{"this Greenlet is empty: it was moved from, or is the parent of a first one"};
    return *core_;
  }

  static Received taken_from([[maybe_unused]] std::optional<Tuple>& received) {
    if constexpr (sizeof...(T) == 1) {
      return received ? Received{std::in_place, std::get<0>(std::move(*received))} : Received{};
    } else if constexpr (sizeof...(T) > 1) {
      return std::move(received);
    }
  }

  detail::GreenletCore* core_ = nullptr;
  bool owns_ = false;
};

namespace detail {

template <class F, class... T>
class GreenletOf final : public GreenletCore {
  using Tuple = typename GreenletValues<T...>::Tuple;
  using Received = typename GreenletValues<T...>::Received;

 public:
  template <class Callable>
  GreenletOf(const GreenletOptions& options, Callable&& callable)
      : GreenletCore{options, typeid(Tuple), &first_}, callable_{std::in_place, std::forward<Callable>(callable)} {}

 private:
  void execute() override {
    Tuple values = take_first();
    Greenlet<T...> self{this};
    const auto call = [&](T&... value) -> decltype(auto) {
      if constexpr (std::is_invocable_v<F&, Greenlet<T...>&, T...>) {
        return std::invoke(*callable_, self, std::move(value)...);
      } else {
        return std::invoke(*callable_, std::move(value)...);
      }
    };
    if constexpr (std::is_void_v<decltype(std::apply(call, values))>) {
      std::apply(call, values);
    } else {
      keep(std::apply(call, values));
    }
  }

  Tuple take_first() {
    if constexpr (sizeof...(T) > 0) {
      if (!first_) {
        throw InvalidStateError{"greenlet \"" + name() + "\" was started without values, by the end of another one"};
      }
      return std::move(*first_);
    } else {
      return {};
    }
  }

  template <class R>
  void keep(R&& result) {
    static_assert(sizeof...(T) > 0, "a greenlet that passes no values returns none");
    if constexpr (std::is_same_v<std::remove_cvref_t<R>, Received>) {
      if (!result) return;
      if constexpr (sizeof...(T) == 1) {
        result_.emplace(*std::forward<R>(result));
      } else {
        result_.emplace(*std::forward<R>(result));
      }
    } else {
      result_.emplace(std::forward<R>(result));
    }
  }

  void abandon() noexcept override {
    callable_.reset();
    first_.reset();
  }

  void deliver(GreenletCore& to) override {
    if (!result_) return;
    auto* inbox = static_cast<std::optional<Tuple>*>(to.inbox_for(typeid(Tuple)));
    if (inbox) inbox->emplace(std::move(*result_));
    result_.reset();
  }

  std::optional<F> callable_;
  std::optional<Tuple> first_;
  std::optional<Tuple> result_;
};

}  // namespace detail
}  // namespace weft
