#pragma once

// A greenlet without the types of its values. No promises: headers of weft only.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <typeinfo>

#include <weft/detail/context_name.hpp>

namespace weft {

/// Ends a greenlet quietly: thrown in it when its owner is destroyed, or by throw_into(). Deliberately not a
/// std::exception, so that a handler for failures does not swallow it.
class GreenletExit {};

/// What may be said about one greenlet before it starts.
struct GreenletOptions {
  std::string name = {};        ///< For reports; its first 31 bytes.
  std::size_t stack_bytes = 0;  ///< Rounded up to pages; 0: 256 KiB. Only touched pages cost memory.
};

namespace detail {

class GreenletCore;
class GreenletHub;
struct GreenletStack;

/// A way from the current greenlet to another one.
struct Crossing {
  GreenletHub* hub = nullptr;
  GreenletCore* to = nullptr;  ///< Null: to where one is.
  void* inbox = nullptr;       ///< Where to put them: a std::optional<std::tuple<...>>; null: they are not wanted.

  /// Goes there, and comes back when something has been put into `own_inbox`, for values of that type, or with
  /// nothing. Throws what was thrown in.
  void cross(void* own_inbox, const std::type_info& own_values) const;
};

/// One greenlet, as long as anything refers to it: its owner, a handle, a child, and, while it has a stack, its
/// context. It is used by its own context only, but for the counting.
class GreenletCore {
 public:
  GreenletCore(const GreenletCore&) = delete;
  GreenletCore& operator=(const GreenletCore&) = delete;

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  /// That of the caller; the first of a context is its own stack.
  [[nodiscard]] static GreenletCore& current();

  /// The way to it, or, if it has ended, to its parent or the parent's parent. Throws InvalidStateError: it belongs
  /// to another context; whoever waits there waits for values of another type. In a greenlet that is being ended:
  /// GreenletExit.
  [[nodiscard]] Crossing way(const std::type_info& values);
  /// As way() and cross(), with an exception.
  void throw_in(std::exception_ptr exception, void* own_inbox, const std::type_info& own_values);
  /// Its owner is gone: ends it if need be.
  void end() noexcept;

  [[nodiscard]] GreenletCore* parent() const noexcept { return parent_; }
  void set_parent(GreenletCore& parent);
  [[nodiscard]] bool started() const noexcept { return state() != State::Fresh; }
  [[nodiscard]] bool dead() const noexcept { return state() == State::Dead; }
  [[nodiscard]] std::string name() const;

  /// Where values for it go, or null if it wants none. Throws InvalidStateError when it waits for others.
  [[nodiscard]] void* inbox_for(const std::type_info& values) const {
    if (expected_ == &values) [[likely]] return inbox_;
    if (!expected_) return nullptr;
    if (*expected_ != values) throw_mismatch();
    return inbox_;
  }

 protected:
  /// `values`, `inbox`: what it is started with.
  GreenletCore(const GreenletOptions& options, const std::type_info& values, void* inbox);
  virtual ~GreenletCore();

  /// Calls the callable with what is in the inbox and keeps its result. May throw.
  virtual void execute() = 0;
  /// Destroys the callable, if it is still there.
  virtual void abandon() noexcept = 0;
  /// Gives the result away, if there is one. May throw.
  virtual void deliver(GreenletCore& to) = 0;

 private:
  friend class GreenletHub;
  friend struct RootGreenlet;
  enum class State : std::uint8_t { Fresh, Started, Dead };

  GreenletCore(std::uint64_t context_id, GreenletStack& own) noexcept;  // the first of a context

  [[nodiscard]] State state() const noexcept { return state_.load(std::memory_order_relaxed); }
  void set_state(State state) noexcept { state_.store(state, std::memory_order_relaxed); }
  [[noreturn, gnu::cold]] void throw_mismatch() const;
  /// Runs on its own stack from begin to end; what it throws is in failure_ then.
  void run() noexcept;
  /// Ends without having run.
  void give_up() noexcept;
  void link_parent(GreenletCore* parent) noexcept;

  std::atomic<std::uint32_t> references_{1};
  std::atomic<State> state_{State::Fresh};  // written by its context; its owner may be dropped elsewhere
  bool ending_ = false;   // its owner is gone: each switch throws GreenletExit
  bool to_reap_ = false;  // whoever runs next has to do something: it is dead, or its owner went while it ran
  const std::uint64_t context_id_;
  GreenletStack* stack_ = nullptr;  // while it is started
  GreenletCore* parent_ = nullptr;    // null: the first of its context
  GreenletCore* unwinder_ = nullptr;  // who waits for its end, instead of the parent

  // What it waits for. No type: for nothing, values are dropped.
  void* inbox_ = nullptr;
  const std::type_info* expected_ = nullptr;
  std::exception_ptr injected_;

  std::exception_ptr failure_;
  GreenletCore* next_ = nullptr;  // of the context's list of started ones
  GreenletCore* previous_ = nullptr;
  std::size_t stack_bytes_ = 0;
  std::uint64_t number_;
  ContextName name_;
};

}  // namespace detail
}  // namespace weft
