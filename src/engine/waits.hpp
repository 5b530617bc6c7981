#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <weft/detail/context.hpp>

namespace weft::detail {

class Scheduler;

/// A context of another process; context 0: that process, whose end is waited for. How processes are told apart is a matter of the
/// library that knows them (engine/far_watch.hpp).
struct FarHolder {
  std::uint64_t process = 0;
  std::uint64_t context = 0;
  friend bool operator==(const FarHolder&, const FarHolder&) = default;
};

/// `Wait::holders` of a wait that only other processes can end.
inline std::size_t nobody_here(const void*, std::uint64_t*, std::size_t) noexcept { return 0; }

/// A context that was seen to wait, and what for.
struct SeenWait {
  Context* context = nullptr;
  std::uint64_t id = 0;
  std::uint64_t epoch = 0;  ///< With the id: this very wait.
  std::int64_t since = 0;
  bool can_throw = false;
  std::vector<std::uint64_t> holders;  ///< Ids of those who must act to end it; empty: unknown, or
  std::vector<FarHolder> far;          ///< in other processes.
};

/// For sums that are the same when the same contexts are in the same waits.
[[nodiscard]] constexpr std::uint64_t mark_of_wait(std::uint64_t id, std::uint64_t epoch) noexcept {
  // Mixed (the last steps of splitmix64), so that the terms of a sum do not cancel each other.
  std::uint64_t mixed = (id * 0x9E3779B97F4A7C15u) ^ epoch;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
  return mixed ^ (mixed >> 31);
}

/// What a report says about one wait.
struct WaitStory {
  std::string who;     ///< `fiber "transfer-1"`
  std::string object;  ///< `Lock "savings"`
  WaitKind kind = WaitKind::None;
  std::int64_t since = 0;
  std::vector<std::uintptr_t> callers;  ///< Return addresses, innermost first; those of weft's own functions among them.
};

/// Every wait, of threads and of the fibers of these schedulers, that only the act of a known context can end and that began before
/// `before`: neither timed nor for anybody's act. The monitor's thread, with its lock held: contexts found are valid as long.
[[nodiscard]] std::vector<SeenWait> held_up(const std::vector<Scheduler*>& schedulers, std::int64_t before);

/// Whether it still is in that wait; with `holders`, also for the same contexts.
enum class Compare : bool { Wait, WaitAndHolders };
[[nodiscard]] bool still_waits(const SeenWait& seen, Compare what);

/// Nothing: it has ended.
[[nodiscard]] WaitStory tell(const SeenWait& seen);
/// The same, but for the callers, which take system calls.
[[nodiscard]] WaitStory tell_briefly(const SeenWait& seen);

/// Whether a thread of this process, known to weft or not, or a fiber may do anything but those that were seen in `waits`, which
/// held_up() has just found. Yes: a context that is known, and will be noticed when it waits. Unclear: a thread that is not known, or not
/// yet, as it has just begun; a helper or a worker that does not rest yet. What that comes to is not noticed but by another look. Reads /proc.
enum class OthersMayAct { No, Yes, Unclear };
[[nodiscard]] OthersMayAct others_may_act(const std::vector<Scheduler*>& schedulers, const std::vector<SeenWait>& waits);

/// Everything that is known to be blocked, a line each, for a report; and whether nothing of it can go on without an act from
/// outside: no deadline, no input or output, no thread of the program outside weft, no worker at work.
struct Standstill {
  std::uint64_t fingerprint = 0;  ///< The same while the same contexts are in the same waits.
  std::size_t blocked = 0;
  bool complete = true;
};
[[nodiscard]] Standstill look_for_standstill(const std::vector<Scheduler*>& schedulers);
[[nodiscard]] std::vector<SeenWait> all_blocked(const std::vector<Scheduler*>& schedulers, std::size_t most);

}  // namespace weft::detail
