#include <weft/detail/patience.hpp>

#include <sched.h>

#include <algorithm>

#include "port/processor.hpp"

namespace weft::detail {

namespace {

constexpr std::uint32_t kLeast = 500;
constexpr std::uint32_t kMost = 10'000;

// Those that look on at this moment, in all queues.
std::atomic<int> looking_on{0};

// Asked once: a program that is confined to fewer processors later looks on a little in vain.
int processors() noexcept {
  static std::atomic<int> known{0};
  int count = known.load(std::memory_order_relaxed);
  if (count == 0) {
    cpu_set_t usable;
    count = ::sched_getaffinity(0, sizeof usable, &usable) == 0 ? std::max(CPU_COUNT(&usable), 1) : 1;
    known.store(count, std::memory_order_relaxed);
  }
  return count;
}

/// A place among those that look on; while all of them run, a processor is left for who is waited for.
class Seat {
 public:
  Seat() noexcept : taken_{looking_on.fetch_add(1, std::memory_order_relaxed) + 1 < processors()} {}
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;
  ~Seat() { looking_on.fetch_sub(1, std::memory_order_relaxed); }
  explicit operator bool() const noexcept { return taken_; }

 private:
  bool taken_;
};

}  // namespace

bool Patience::wait(const std::atomic<std::uint64_t>& word, std::uint64_t seen, std::uint64_t but_for,
                    Deadline deadline) noexcept {
  const Seat seat;
  if (!seat) return false;
  const std::uint32_t patience = nanoseconds_.load(std::memory_order_relaxed);
  const std::int64_t end = std::min(Deadline::now_nanoseconds() + patience, deadline.nanoseconds());
  do {
    // About a microsecond. Each look takes the line from the other side: looking seldom lets it work undisturbed, and
    // there is then not one item but a handful.
    for (int i = 0; i < 64; ++i) port::processor_pause();
    if (((word.load(std::memory_order_relaxed) ^ seen) & ~but_for) != 0) {
      nanoseconds_.store(std::min(patience * 2, kMost), std::memory_order_relaxed);
      return true;
    }
  } while (Deadline::now_nanoseconds() < end);
  nanoseconds_.store(std::max(patience / 2, kLeast), std::memory_order_relaxed);
  return false;
}

}  // namespace weft::detail
