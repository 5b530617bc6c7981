#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <utility>

#include <weft/detail/wait_list.hpp>

namespace weft {

/// Runs a function once, whoever comes first; the others wait until it has run.
///
/// Semantics:     after std::call_once and std::once_flag. A call whose function throws, or is killed in it, counts for
///                nothing: what it threw goes to its caller, and the one that has waited longest runs its own function.
///                A function that calls the same Once waits for itself. A process that is forked while another of its
///                threads runs the function begins it anew, as that thread did not come along.
/// Thread-safety: every method, from any thread or fiber; destroy only when nobody waits. One that was let through may.
/// Blocking:      parks the fiber, or the thread when called outside one. Throws Cancelled when this fiber is killed.
/// Ordering:      what the function did is visible after every call().
/// Cost:          once it has run, one load; no memory per waiter. Needs no initialization at run time.
class Once {
 public:
  constexpr Once(std::source_location site = std::source_location::current()) noexcept : label_{nullptr, site} {}
  /// `name` appears in reports and must outlive the object: a literal.
  constexpr explicit Once(const char* name, std::source_location site = std::source_location::current()) noexcept
      : label_{name, site} {}
  Once(const Once&) = delete;
  Once& operator=(const Once&) = delete;

  /// Afterwards some callable(arguments...) has run to its end: this or another caller's.
  template <class F, class... Args>
  void call(F&& callable, Args&&... arguments) {
    if (done() || !begin()) return;
    Attempt attempt{*this};
    std::forward<F>(callable)(std::forward<Args>(arguments)...);
    attempt.succeeded = true;
  }

  /// Whether it has run to its end. True stays true. With the list bit clear only: whoever said so may still be inside.
  [[nodiscard]] bool done() const noexcept { return state_.load(std::memory_order_acquire) == kDone; }
  [[nodiscard]] const char* name() const noexcept { return label_.name(); }

 private:
  struct Attempt {
    explicit Attempt(Once& of) : once{of} {}
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;
    ~Attempt() { once.end(succeeded); }

    Once& once;
    bool succeeded = false;
  };

  // The state: bit 0 guards the list, bit 1: it has run, bits 2-63: the id of the context that runs it.
  static constexpr std::uint64_t kList = 1, kDone = 2;
  static constexpr int kRunnerShift = 2;
  using Guard = detail::ListGuard<std::uint64_t, kList>;
  enum class Turn : std::uint8_t { Mine, Done, Others };

  [[nodiscard]] bool begin();  // true: the caller is to run it
  void end(bool succeeded) noexcept;
  [[nodiscard]] Turn turn(Guard& guard, std::uint64_t mine) noexcept;
  void set_runner(Guard& guard, std::uint64_t id) noexcept;
  [[nodiscard]] static std::size_t runner(const void* once, std::uint64_t* ids, std::size_t most) noexcept;

  std::atomic<std::uint64_t> state_{0};
  detail::WaitList waiters_;        // guarded by kList, as the next
  std::uint32_t runs_in_ = 0;       // the process whose context runs it
  const Label label_;
};

}  // namespace weft
