#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

namespace weft::detail {

/// Who sleeps, who is looking for work, and who may be woken: the protocol by which no hand-in is ever overlooked.
///
/// A worker goes to sleep in this order, a thread that hands work in does in that order:
///
///   worker                                      hander-in
///   S1  stop_searching()   (when it searched)   H1  push to the global queue
///   S2  announce():        its bit is set       H2  somebody searching? then done
///   S3  look at the queue once more             H3  choose(): clear one set bit; none: done
///   S4  sleep until woken                       H4  wake that worker
///   S5  withdraw():        its bit is cleared
///
/// Every step is sequentially consistent (H1 by the fence in choose()). If H2 saw a searcher, that searcher's S1, and
/// so its S3, come later and see the push. If H3 found no bit, every S2 comes later and its S3 sees the push. Whoever
/// clears a bit, and only he, wakes: a bit is a claim. A woken worker counts as searching from H3 on, so that a burst
/// of hand-ins wakes one worker, and that one wakes the next if it finds more than it can run.
///
/// What is handed in to one worker, because only that one may run it, goes past choose():
///
///   P1  push to the worker's inbox; not the first there: done
///   P2  has_announced(): its bit is not set: done
///   P3  wake that worker
///
/// P3 is no claim. A worker woken by it finds its own bit at S5, and does not count. If P2 found no bit, the next S2 comes
/// later, and its S3, which looks at the inbox too, sees the push. Who is not the first leaves waking to him who was, since
/// the owner has taken nothing meanwhile. P3 may come late, when the worker sleeps for another time: that wakes it for nothing.
/// tests/engine/idle_set_test.cpp walks through every interleaving of these tables.
class IdleSet {
 public:
  static constexpr unsigned kMostWorkers = 64;

  void announce(unsigned worker) noexcept {
    sleeping_.fetch_or(bit(worker), std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // S3 may use relaxed loads
  }

  /// True: somebody had claimed this worker, which now counts as searching.
  bool withdraw(unsigned worker) noexcept {
    return (sleeping_.fetch_and(~bit(worker), std::memory_order_seq_cst) & bit(worker)) == 0;
  }

  /// P2. Whether this worker sleeps, or is about to look around for the last time.
  [[nodiscard]] bool has_announced(unsigned worker) const noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return (sleeping() & bit(worker)) != 0;
  }

  void start_searching() noexcept { searching_.fetch_add(1, std::memory_order_seq_cst); }
  /// True: it was the last searcher.
  bool stop_searching() noexcept {
    const bool last = searching_.fetch_sub(1, std::memory_order_seq_cst) == 1;
    std::atomic_thread_fence(std::memory_order_seq_cst);  // so that a relaxed look at the queue afterwards is later
    return last;
  }
  [[nodiscard]] std::uint32_t searching() const noexcept { return searching_.load(std::memory_order_seq_cst); }
  [[nodiscard]] std::uint64_t sleeping() const noexcept { return sleeping_.load(std::memory_order_seq_cst); }
  /// A hint without order, for the hot path: a missed sleeper there costs parallelism, never progress.
  [[nodiscard]] bool perhaps_sleeping() const noexcept { return sleeping_.load(std::memory_order_relaxed) != 0; }

  /// Claims a sleeper, which from now on counts as searching: its number, or -1. `avoid`: taken only if it is the last.
  int choose(int avoid) noexcept {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (;;) {
      if (searching() != 0) return -1;
      const std::uint64_t asleep = sleeping();
      if (asleep == 0) return -1;
      const std::uint64_t preferred = avoid < 0 ? asleep : asleep & ~bit(static_cast<unsigned>(avoid));
      const auto worker = static_cast<unsigned>(std::countr_zero(preferred != 0 ? preferred : asleep));
      start_searching();
      if (sleeping_.fetch_and(~bit(worker), std::memory_order_seq_cst) & bit(worker)) return static_cast<int>(worker);
      // Somebody else was faster. Our passing count may have turned a hander-in away at H2: look again in his stead.
      stop_searching();
    }
  }

 private:
  static constexpr std::uint64_t bit(unsigned worker) { return std::uint64_t{1} << worker; }

  alignas(64) std::atomic<std::uint64_t> sleeping_{0};
  std::atomic<std::uint32_t> searching_{0};
};

}  // namespace weft::detail
