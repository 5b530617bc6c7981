#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <weft/detail/deadlock_settings.hpp>

#include "engine/waits.hpp"

namespace weft::detail {

class Scheduler;

/// The indices of contexts that wait for each other in a circle, one circle after the other. A context is stuck when every one of
/// those who must act to end its wait is stuck; circles are made of stuck ones.
[[nodiscard]] std::vector<std::vector<std::size_t>> find_circles(const std::vector<SeenWait>& waits);

/// Finds deadlocks among the waits of all contexts. The monitor's; nothing here is thread-safe, but for what it reads.
///
/// Soundness: a wait is looked at three times. The first look finds the circle; the second reads again who holds what, and the third
/// finds every context in the very wait it was in at the first. So between the ends of the first and the beginnings of the
/// third all of them were blocked at once, each for something that the next one held during the second; what a blocked context
/// holds it cannot let go of, and nothing is given to it without deciding its wait. That is a deadlock, and it remains one unless
/// somebody outside ends one of them by a kill.
class DeadlockWatch {
 public:
  /// Reports to be made, of deadlocks not seen before. Those that were reported at an earlier call are resolved: the one that blocked
  /// last, of those that may throw, gets the report as its DeadlockError.
  [[nodiscard]] std::vector<std::string> look(const std::vector<Scheduler*>& schedulers, std::int64_t now);

  /// Whether it has looked at all waits that began before then.
  [[nodiscard]] bool has_seen_waits_before(std::int64_t moment) const noexcept;

  /// A report of what is blocked, once, when all has stood still for as long as was asked for.
  [[nodiscard]] std::string look_for_standstill(const std::vector<Scheduler*>& schedulers, std::int64_t now);

 private:
  using Signature = std::pair<std::uint64_t, std::uint64_t>;  // id and epoch of the wait that closed the circle
  struct Reported {
    Signature signature;
    std::string text;
  };

  [[nodiscard]] const Reported* reported(Signature signature) const;

  std::vector<Reported> reported_;
  std::int64_t looked_at_ = 0;  // waits that began before then
  std::int64_t next_look_ = 0;
  std::uint64_t fingerprint_ = 0;
  std::int64_t still_since_ = 0;
  bool told_ = false;
};

}  // namespace weft::detail
