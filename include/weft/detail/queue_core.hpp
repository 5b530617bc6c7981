#pragma once

// What all queues are: waiting, handing over and ending, around a store that knows the order. Headers of weft only.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/base/label.hpp>
#include <weft/detail/armed.hpp>
#include <weft/detail/patience.hpp>
#include <weft/detail/wait_list.hpp>

namespace weft::detail {

[[noreturn]] void throw_queue_shut_down(const char* operation);
[[noreturn]] void throw_task_done_too_often();

/// Store: see ring_store.hpp. A queue has two sides, each with a state word that guards what belongs to it:
///
///   side   its word counts    its waiters                                     also
///   in     items put in       getters, who wait only while there is no item   open tasks, their joiners, the end
///   out    items taken out    putters, who wait only while there is no room
///
/// A put needs the in side only: under its bit nothing can be put, so that an empty queue stays empty and a getter that
/// waits stays there; that the other side takes meanwhile only makes room. A get needs the out side only, for the
/// mirrored reason. So getters link themselves under the in bit, putters under the out bit, and producers and consumers
/// that keep up with each other share no memory but the items: each remembers the other's count and looks again when
/// that is used up. Who needs both bits takes out first, then in.
///
/// For other stores than a ring the two sides are one, whose word counts the items.
///
/// Whoever makes a wait unnecessary serves the oldest waiter in the same step, so that nobody passes a waiter:
///   - a put that finds a getter moves the item into his place;
///   - a get that makes room moves the item of the oldest putter in.
/// An entry whose wait has ended otherwise may stay in a list for a moment; claim() tells.
///
/// take() cannot be served in this way: what it returns is moved once only, from the queue to where the caller wants it. So
/// whoever waits in it, a taker, is merely told that an item has come, and may find that another was faster. Each item
/// that comes tells one; a taker who was told and then does not take the item, because moving it throws, tells the next.
template <class Store>
class QueueCore {
 public:
  using Value = typename Store::Value;
  using Source = typename Store::Source;
  enum class MayWait : bool { No, Yes };
  enum class Result : std::uint8_t { Done, ShutDown, NotNow, MustGrow };
  static constexpr Outcome kRefused = 1;  // woken by shutdown()

  /// What a waiter's entry points to: a putter's item, or a getter's place for one, used by whoever claims the entry.
  struct Waiting {
    Source source{};
    std::optional<Value>* target = nullptr;
    bool moved = false;  // false after a wake-up: the move threw, try again
  };

  template <class... StoreArgs>
  QueueCore(std::size_t maxsize, Label label, StoreArgs&&... args)
      : store_(std::forward<StoreArgs>(args)...), maxsize_{maxsize}, label_{label} {}
  QueueCore(const QueueCore&) = delete;
  QueueCore& operator=(const QueueCore&) = delete;
  ~QueueCore() { store_.clear(out_.head, size()); }

  [[nodiscard]] std::size_t size() const noexcept {
    if constexpr (!kTwoSided) return count_in(in_.word.load(std::memory_order_acquire));
    // The same count of items put in before and after: this was the size when the other was read.
    std::uint64_t in = count_in(in_.word.load(std::memory_order_acquire));
    for (;;) {
      const std::uint64_t out = count_in(out_.word.load(std::memory_order_acquire));
      const std::uint64_t again = count_in(in_.word.load(std::memory_order_acquire));
      if (again == in) return in - out;
      in = again;
    }
  }
  [[nodiscard]] std::size_t maxsize() const noexcept { return maxsize_; }
  [[nodiscard]] const char* name() const noexcept { return label_.name(); }
  [[nodiscard]] bool is_shut_down() const noexcept {
    return (in_.word.load(std::memory_order_acquire) & kShutDown) != 0;
  }

  /// False: no room in time. Throws: ShutDown; what interrupts a wait; what moving the item throws.
  /// `as`: what a wait for room is in reports and in the search for deadlocks; without it, one for the queue.
  bool put(Source source, Deadline deadline, MayWait may_wait, const Wait* as = nullptr);
  /// Nothing: none came in time, or none will come. Throws: what interrupts a wait; what moving the item throws.
  std::optional<Value> get(Deadline deadline, MayWait may_wait);
  /// get() without a deadline for items whose move may throw: one whose move does stays in the queue. Throws ShutDown, too.
  Value take();
  /// For such items in memory of their own: what was taken is again the first.
  void put_back(Source source) noexcept;

  void task_done();
  bool join(Deadline deadline);
  void shutdown(bool immediate);

  // ---- for a case of select(), which waits in several places: an entry of its own

  [[nodiscard]] Result try_put(Source source);
  [[nodiscard, gnu::always_inline]] Result try_get(std::optional<Value>& target);
  /// False: look again, it may be possible now.
  [[nodiscard]] bool enlist_getter(Entry& entry, Waiting& waiting, bool keeps_place = false) noexcept;
  [[nodiscard]] bool enlist_putter(Entry& entry, Waiting& waiting, bool keeps_place = false) noexcept;
  void withdraw_getter(Entry& entry) noexcept { withdraw(in_.word, in_.getters, entry); }
  void withdraw_putter(Entry& entry) noexcept { withdraw(out_word(), out_.putters, entry); }

 private:
  static constexpr bool kTwoSided = Store::kTwoSided;
  static constexpr bool kHasTakers = !std::is_nothrow_move_constructible_v<Value>;
  static constexpr std::uint64_t kList = 1, kShutDown = 2;  // the end is marked on the in side
  static constexpr int kCountShift = 2;
  static constexpr std::uint64_t kOne = 1 << kCountShift;
  using Guard = ListGuard<std::uint64_t, kList>;

  struct Nothing {};
  struct alignas(64) InSide {
    std::atomic<std::uint64_t> word{0};
    [[no_unique_address]] typename Store::Tail tail;
    std::uint64_t known_out = 0;  // how many had been taken out when this side last looked
    std::size_t unfinished = 0;
    WaitList getters;
    WaitList joiners;
    [[no_unique_address]] std::conditional_t<kHasTakers, WaitList, Nothing> takers;
  };
  struct alignas(64) OutSide {
    std::atomic<std::uint64_t> word{0};
    [[no_unique_address]] typename Store::Head head;
    std::atomic<std::uint64_t> known_in{0};  // the same, of the other side; written under the bit
    WaitList putters;
  };

  static constexpr std::uint64_t count_in(std::uint64_t word) { return word >> kCountShift; }
  [[nodiscard]] std::atomic<std::uint64_t>& out_word() noexcept { return kTwoSided ? out_.word : in_.word; }

  [[gnu::always_inline]] Result room(const Guard& in) noexcept;
  [[gnu::always_inline]] Result supply(const Guard& out) noexcept;
  // Inlined, as is wait_in(): two fibers that pass a number back and forth lose a tenth to the calls.
  [[gnu::always_inline]] Result put_once(Source source);
  [[gnu::noinline]] void admit_and_release(Guard& out) noexcept;
  [[nodiscard]] Entry* admit_putters(Guard& in, std::uint64_t taken_out) noexcept;
  void grow();
  [[gnu::noinline]] bool put_slowly(Source source, Deadline deadline, MayWait may_wait, Result result, const Wait* as);
  void get_slowly(std::optional<Value>& item, Deadline deadline);
  void lock_for_take(std::optional<Guard>& out);
  [[nodiscard]] bool enlist_taker(Entry& entry, bool keeps_place) noexcept;
  void tell_next_taker() noexcept;
  template <class Withdraw>
  [[nodiscard, gnu::always_inline]] Outcome wait_in(Context& self, Deadline deadline, Withdraw withdraw, const Wait* as = nullptr);
  [[nodiscard]] bool seems_empty() const noexcept;
  [[nodiscard]] bool is_empty(const Guard& in) const noexcept;
  [[nodiscard]] bool is_full_and_open(const Guard& out) const noexcept;
  [[nodiscard]] bool room_soon(Deadline deadline) noexcept;
  [[nodiscard]] bool item_soon(Deadline deadline) noexcept;

  static void withdraw(std::atomic<std::uint64_t>& word, WaitList& list, Entry& entry) noexcept {
    const Guard guard{word};
    if (entry.linked) list.remove(entry);
  }
  static void link(WaitList& list, Entry& entry, Waiting& waiting, bool keeps_place) noexcept {
    entry.payload = &waiting;
    keeps_place ? list.push_front(entry) : list.push_back(entry);
  }

  InSide in_;
  OutSide out_;
  // Read by all; written when it grows.
  alignas(64) Store store_;
  const std::size_t maxsize_;
  Patience patience_of_getters_;
  Patience patience_of_putters_;
  const Label label_;
};

}  // namespace weft::detail

#include <weft/detail/queue_steps.hpp>
#include <weft/detail/queue_waits.hpp>
