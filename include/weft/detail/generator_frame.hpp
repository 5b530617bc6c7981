#pragma once

// What the coroutine of a Generator consists of beside its body. No promises: headers of weft only.

#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>

#include <weft/base/error.hpp>

namespace weft {

template <class Y, class S, class R>
class Generator;

/// Thrown by the co_yield at which a generator was closed. Deliberately not a std::exception, so that a handler for
/// failures does not swallow it; a generator that catches it must not yield again.
class GeneratorExit {};

namespace detail {

template <class Y>
using Yielded = std::conditional_t<std::is_reference_v<Y>, Y, Y&&>;

template <class Elements>
struct ElementsOf {
  Elements&& elements;
};

template <class Y, class S, class R>
class GeneratorPromise;

#if defined(__clang__) || __GNUC__ >= 15
inline constexpr bool kTransfersAreTailCalls = true;
#else
// Older GCCs make calls of them unless they optimize much, and a walk over a large tree that yields little would go
// deeper and deeper.
inline constexpr bool kTransfersAreTailCalls = false;
#endif

/// One generator, or one of a chain that delegate to each other. The outermost, the root, is the one that is asked;
/// it knows the innermost, the leaf, and resumes that at once, so that a value costs the same at any depth. The
/// others know the root.
///
///   state      meaning                                                leaves by
///   Fresh      its body has not begun                                 Running, Delegated, Done
///   Suspended  it stands at a co_yield                                Running, Delegated, Done
///   Running    somebody is inside advance()                           Suspended, Done
///   Delegated  not the root: another generator yields its elements    Suspended (the other was destroyed), Done
///   Done       it has ended
template <class Y, class S>
class GeneratorFrame {
 public:
  using Value = std::remove_reference_t<Y>;
  /// What links a frame to the one that waits for its end. It stands in the frame of the latter, in the co_yield.
  struct Link {
    GeneratorFrame* outer = nullptr;
    GeneratorFrame* inner = nullptr;  // null: it is gone
    bool owned = false;               // the inner frame belongs to the outer one
  };

  GeneratorFrame(const GeneratorFrame&) = delete;
  GeneratorFrame& operator=(const GeneratorFrame&) = delete;

  /// Where the value is that was yielded last; null: it has ended.
  [[nodiscard]] Value* value() const noexcept { return value_; }
  [[nodiscard]] bool done() const noexcept { return state_ == State::Done; }

  /// Resumes. False: it has ended. Throws what the body throws.
  bool advance() {
    if (state_ > State::Suspended) [[unlikely]] return refuse_or_end();
    state_ = State::Running;
    value_ = nullptr;
    do {
      leaf_->handle_.resume();
    } while (!kTransfersAreTailCalls && !value_ && state_ == State::Running);
    if (value_) [[likely]] {
      state_ = State::Suspended;
      return true;
    }
    if (exception_) [[unlikely]] std::rethrow_exception(std::exchange(exception_, nullptr));
    return false;
  }

  template <class Sent>
  bool send(Sent& value) {
    if (state_ == State::Fresh) {
      throw InvalidStateError{"send: the generator has not begun: no co_yield can receive the value; call next() first"};
    }
    const Parcel parcel{sent_, &value};
    return advance();
  }

  bool throw_(std::exception_ptr exception) {
    if (state_ == State::Fresh) finish_unstarted();
    if (state_ == State::Done) std::rethrow_exception(std::move(exception));
    if (state_ == State::Suspended) injected_ = std::move(exception);
    return advance();
  }

  void close() {
    if (state_ == State::Fresh) finish_unstarted();
    if (state_ == State::Done) return;
    if (state_ == State::Suspended) injected_ = std::make_exception_ptr(GeneratorExit{});
    closing_ = state_ == State::Suspended;
    try {
      if (!advance()) return;
    } catch (const GeneratorExit&) {
      return;
    }
    closing_ = false;
    throw InvalidStateError{"close: the generator caught GeneratorExit and yields again; it must return, or throw it on"};
  }

  /// Before it is destroyed: destroys those it delegates to, innermost first, but for the ones that are somebody
  /// else's. In a loop, where the destructors alone would call each other as deep as the chain is long.
  void end_delegates() noexcept {
    if (state_ == State::Delegated) return;
    Link* borrowed = nullptr;  // the outermost: what it delegates to is its own
    for (GeneratorFrame* frame = leaf_; frame != this; frame = frame->link_->outer) {
      if (!frame->link_->owned) borrowed = frame->link_;
    }
    if (borrowed) std::exchange(borrowed->inner, nullptr)->stand_alone(std::exchange(leaf_, borrowed->outer));
    while (leaf_ != this) {
      Link& link = *leaf_->link_;
      leaf_ = link.outer;
      end(link);
    }
  }

  // For the coroutine itself:

  void yield(Value& value) noexcept { root_->value_ = std::addressof(value); }
  /// What the co_yield gives that it was resumed at.
  [[nodiscard]] std::conditional_t<std::is_void_v<S>, void, std::optional<S>> resumed() {
    if (root_->injected_) [[unlikely]] std::rethrow_exception(std::exchange(root_->injected_, nullptr));
    if constexpr (!std::is_void_v<S>) {
      S* sent = std::exchange(root_->sent_, nullptr);
      return sent ? std::optional<S>{std::move(*sent)} : std::nullopt;
    }
  }
  void fail() noexcept { exception_ = std::current_exception(); }
  /// At its end: who goes on.
  [[nodiscard]] std::coroutine_handle<> finish() noexcept {
    state_ = State::Done;
    leaf_ = this;  // those it has delegated to, before it was delegated to itself, are gone
    if (!link_) return std::noop_coroutine();
    root_->leaf_ = link_->outer;
    return transfer();
  }

  /// What a generator may be delegated to in state; throws if it may not.
  void check_delegable() const {
    if (state_ == State::Running) {
      throw InvalidStateError{"elements_of: a generator cannot delegate to one that runs, such as itself"};
    }
    if (state_ == State::Delegated) {
      throw InvalidStateError{"elements_of: another generator delegates to this one already"};
    }
  }
  /// `inner`, with all it delegates to itself, continues the chain.
  [[nodiscard]] std::coroutine_handle<> delegate(Link& link) noexcept {
    GeneratorFrame& inner = *link.inner;
    inner.state_ = State::Delegated;
    inner.link_ = &link;
    root_->leaf_ = inner.leaf_;
    for (GeneratorFrame* frame = inner.leaf_; frame != this; frame = frame->link_->outer) frame->root_ = root_;
    return transfer();
  }
  /// Destroys the inner frame, if it is the outer one's.
  static void end(Link& link) noexcept {
    GeneratorFrame* inner = std::exchange(link.inner, nullptr);
    if (inner && link.owned) inner->handle_.destroy();
  }
  /// Back in the outer frame: as if it had delegated to nobody, what was thrown in is thrown there too.
  void resumed_from(GeneratorFrame& inner) {
    if (inner.exception_) [[unlikely]] std::rethrow_exception(std::exchange(inner.exception_, nullptr));
    if (root_->closing_) [[unlikely]] throw GeneratorExit{};
  }

 protected:
  explicit GeneratorFrame(std::coroutine_handle<> handle) noexcept : handle_{handle} {}
  ~GeneratorFrame() = default;

 private:
  enum class State : std::uint8_t { Fresh, Suspended, Running, Delegated, Done };
  using SentPointer = std::add_pointer_t<S>;  // void* when nothing is sent

  /// A value on its way; it does not outlive the call that sends it.
  struct Parcel {
    Parcel(SentPointer& where, SentPointer value) noexcept : place{where} { place = value; }
    Parcel(const Parcel&) = delete;
    Parcel& operator=(const Parcel&) = delete;
    ~Parcel() { place = nullptr; }
    SentPointer& place;
  };

  [[nodiscard]] std::coroutine_handle<> transfer() const noexcept {
    return kTransfersAreTailCalls ? root_->leaf_->handle_ : std::noop_coroutine();
  }

  // Never inlined: what is not the usual case must not stand in each loop.
  [[gnu::noinline]] bool refuse_or_end() {
    if (state_ == State::Running) {
      throw InvalidStateError{"this generator runs: it was asked from inside of itself, or by another caller meanwhile"};
    }
    if (state_ == State::Delegated) {
      throw InvalidStateError{"another generator yields the elements of this one; ask that"};
    }
    value_ = nullptr;
    return false;
  }

  // The body and its parameters stay until the generator is destroyed, as they do after any end.
  void finish_unstarted() noexcept { state_ = State::Done; }

  // It was delegated to; from now on it is a root, down to the leaf, which stands at a co_yield.
  void stand_alone(GeneratorFrame* leaf) noexcept {
    for (GeneratorFrame* frame = leaf; frame != this; frame = frame->link_->outer) frame->root_ = this;
    root_ = this;
    leaf_ = leaf;
    link_ = nullptr;
    state_ = State::Suspended;
  }

  const std::coroutine_handle<> handle_;
  GeneratorFrame* root_ = this;
  Link* link_ = nullptr;  // to the frame that waits for the end of this one; null: it is a root
  std::exception_ptr exception_;

  // Of a root:
  GeneratorFrame* leaf_ = this;
  Value* value_ = nullptr;
  SentPointer sent_ = nullptr;
  std::exception_ptr injected_;
  bool closing_ = false;

  State state_ = State::Fresh;
};

/// The co_yield of elements_of(generator).
template <class Y, class S, class R>
class Delegation {
 public:
  using Frame = GeneratorFrame<Y, S>;

  Delegation(Frame& outer, Generator<Y, S, R>& inner) : inner_{inner.handle_} { begin(outer, false); }
  // Taken over at once: what it is moved from may be gone before it has ended.
  Delegation(Frame& outer, Generator<Y, S, R>&& inner) : inner_{inner.handle_} {
    begin(outer, true);
    inner.handle_ = nullptr;
  }
  Delegation(const Delegation&) = delete;
  Delegation& operator=(const Delegation&) = delete;
  ~Delegation() { Frame::end(link_); }

  [[nodiscard]] bool await_ready() const noexcept { return !inner_ || inner_.promise().done(); }
  [[nodiscard]] std::coroutine_handle<> await_suspend(std::coroutine_handle<>) noexcept {
    return link_.outer->delegate(link_);
  }
  auto await_resume() {
    if (link_.inner) link_.outer->resumed_from(*link_.inner);
    if constexpr (!std::is_void_v<R>) {
      return link_.inner ? std::exchange(inner_.promise().result, std::nullopt) : std::nullopt;
    }
  }

 private:
  void begin(Frame& outer, bool owned) {
    if (!inner_) return;
    inner_.promise().check_delegable();
    link_ = {&outer, &inner_.promise(), owned};
  }

  std::coroutine_handle<GeneratorPromise<Y, S, R>> inner_;
  typename Frame::Link link_;
};

/// How a generator of these results ends.
template <class R>
struct GeneratorResult {
  template <class Value = R>
    requires std::is_constructible_v<R, Value>
  void return_value(Value&& value) {
    result.emplace(std::forward<Value>(value));
  }
  std::optional<R> result;
};
template <>
struct GeneratorResult<void> {
  void return_void() noexcept {}
};

template <class Y, class S, class R>
class GeneratorPromise final : public GeneratorFrame<Y, S>, public GeneratorResult<R> {
  using Frame = GeneratorFrame<Y, S>;
  using typename Frame::Value;

  /// co_yield of something that lives until the generator goes on: a temporary, or what a reference refers to.
  struct YieldReference {
    Frame& frame;
    Value* value;

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) noexcept { frame.yield(*value); }
    auto await_resume() { return frame.resumed(); }
  };
  /// co_yield of a variable, whose value may be moved away but not the variable's.
  struct YieldCopy {
    Frame& frame;
    Value value;

    [[nodiscard]] bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<>) noexcept { frame.yield(value); }
    auto await_resume() { return frame.resumed(); }
  };
  struct Finish {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    [[nodiscard]] std::coroutine_handle<> await_suspend(std::coroutine_handle<GeneratorPromise> self) noexcept {
      return self.promise().finish();
    }
    void await_resume() const noexcept {}
  };

 public:
  GeneratorPromise() noexcept : Frame{std::coroutine_handle<GeneratorPromise>::from_promise(*this)} {}

  Generator<Y, S, R> get_return_object() noexcept {
    return Generator<Y, S, R>{std::coroutine_handle<GeneratorPromise>::from_promise(*this)};
  }
  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  [[nodiscard]] Finish final_suspend() const noexcept { return {}; }
  void unhandled_exception() noexcept { this->fail(); }

  YieldReference yield_value(Yielded<Y> value) noexcept { return {*this, std::addressof(value)}; }
  YieldCopy yield_value(const Value& value)
    requires(!std::is_reference_v<Y> && std::is_copy_constructible_v<Value>)
  {
    return {*this, value};
  }
  template <class R2>
  Delegation<Y, S, R2> yield_value(ElementsOf<Generator<Y, S, R2>&> of) {
    return {*this, of.elements};
  }
  template <class R2>
  Delegation<Y, S, R2> yield_value(ElementsOf<Generator<Y, S, R2>> of) {
    return {*this, std::move(of.elements)};
  }
  template <std::ranges::input_range Range>
    requires std::is_convertible_v<std::ranges::range_reference_t<Range>, Y>
  Delegation<Y, S, void> yield_value(ElementsOf<Range> of) {
    return {*this, go_through<Range>(of.elements)};
  }

  /// A generator only yields: it has no way to wait for other coroutines.
  template <class Awaitable>
  void await_transform(Awaitable&&) = delete;

 private:
  // A range that is no lvalue is moved into the frame.
  template <class Range>
  static Generator<Y, S, void> go_through(std::remove_reference_t<Range>& range) {
    if constexpr (std::is_lvalue_reference_v<Range>) {
      return yield_all<Range>(range);
    } else {
      return yield_all<Range>(std::move(range));
    }
  }
  template <class Range>
  static Generator<Y, S, void> yield_all(Range range) {
    for (auto&& element : range) {
      if constexpr (std::is_void_v<S>) {
        co_yield std::forward<decltype(element)>(element);
      } else if (co_yield std::forward<decltype(element)>(element)) {
        throw InvalidStateError{"send: the generator goes through a range, which receives nothing"};
      }
    }
  }
};

}  // namespace detail
}  // namespace weft
