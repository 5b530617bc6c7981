#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <source_location>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/label.hpp>
#include <weft/detail/shared_way.hpp>
#include <weft/process/parcel.hpp>

namespace weft::process {

namespace detail {
class SharedObject;
struct SemaphoreState;
}  // namespace detail

/// Counts permits among processes: acquire() takes one, waiting while none is left; release() gives some back.
///
/// Semantics:     after Python multiprocessing.Semaphore. A handle, as process::Lock is. lock() and unlock() are
///                acquire() and release(1), for std::lock_guard. A permit that is free goes to whoever comes first.
/// Death:         a process that is killed while it waits, or in the middle of a call, takes nothing with it but what
///                it had acquired. A permit may be a signal, acquired here and released there, so that nobody can tell
///                what became of those of a process that dies: they are lost. Where permits are given back by who took
///                them, use a BoundedSemaphore, which knows who has them.
/// Thread-safety: every method, from any thread or fiber of any process.
/// Blocking:      parks the fiber, or the thread when called outside one. Throws Cancelled when this fiber is killed;
///                no permit is lost.
/// Ordering:      what precedes release() is visible after the acquire() it satisfies.
/// Cost:          uncontended calls are one atomic operation; a page of shared memory, a mapping and a descriptor in
///                each process.
class Semaphore {
 public:
  /// `name` appears in reports of every process; its first 47 bytes are kept.
  /// Throws: InvalidStateError for a count above max_value(); OSError when there is no memory or no descriptor to be
  /// had.
  explicit Semaphore(std::uint32_t permits = 1, const char* name = nullptr,
                     std::source_location site = std::source_location::current());
  Semaphore(const Semaphore&) = default;
  Semaphore& operator=(const Semaphore&) = default;

  [[nodiscard]] static constexpr std::uint32_t max_value() { return 0x7FFFFFFF; }

  void acquire() { (void)try_acquire_until(Deadline::never()); }
  [[nodiscard]] bool try_acquire() noexcept;
  template <class Rep, class Period>
  [[nodiscard]] bool try_acquire_for(std::chrono::duration<Rep, Period> timeout) {
    return try_acquire_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool try_acquire_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return try_acquire_until(Deadline::at(point));
  }
  [[nodiscard]] bool try_acquire_until(Deadline deadline);

  /// A case of select(): takes a permit if chosen.
  template <class F>
  [[nodiscard]] auto on_acquire(F callable) const {
    return weft::detail::SelectCase<AcquireWay, F>{std::move(callable), *this};
  }

  /// Throws: InvalidStateError when more than max_value() permits would exist; none is then added.
  void release(std::uint32_t permits = 1);

  /// Permits left a moment ago.
  [[nodiscard]] std::uint32_t value() const noexcept;
  [[nodiscard]] const char* name() const noexcept { return label_.name(); }

  void lock() { acquire(); }
  void unlock() { release(1); }
  [[nodiscard]] bool try_lock() noexcept { return try_acquire(); }

 protected:
  enum class Bounded { Yes };
  /// Of a BoundedSemaphore.
  Semaphore(Bounded, std::uint32_t permits, const char* name, std::source_location site);
  Semaphore(std::shared_ptr<detail::SharedObject> object, std::source_location site) noexcept;
  void send(Outgoing& out) const;
  [[nodiscard]] static std::shared_ptr<detail::SharedObject> receive_object(Incoming& in);

 private:
  friend class BoundedSemaphore;
  friend struct Transfer<Semaphore>;

  class AcquireWay : public detail::SharedWay {
   public:
    explicit AcquireWay(const Semaphore& semaphore) noexcept : state_{semaphore.state_} {}

   private:
    bool take(bool slept) override;
    bool expect(detail::SharedWaiter& waiter) noexcept override;
    void leave(bool told) noexcept override;

    detail::SemaphoreState* state_;
  };

  [[nodiscard]] static std::uint32_t seats_for(std::uint32_t permits) noexcept;
  [[noreturn]] void fail_too_many(std::uint64_t permits) const;

  std::shared_ptr<detail::SharedObject> object_;
  detail::SemaphoreState* state_;
  Label label_;
};

template <>
struct Transfer<Semaphore> {
  static void send(Outgoing& out, const Semaphore& semaphore);
  static Semaphore receive(Incoming& in);
};

}  // namespace weft::process
