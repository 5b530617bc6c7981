#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <weft/detail/deadlock_settings.hpp>

#include "engine/waits.hpp"

namespace weft::detail {

class Scheduler;
struct FarDeadlock;

/// The indices of contexts that wait for each other in a circle, one circle after the other. A context is stuck when every one of
/// those who must act to end its wait is stuck; circles are made of stuck ones. SeenWait::far is not looked at.
[[nodiscard]] std::vector<std::vector<std::size_t>> find_circles(const std::vector<SeenWait>& waits);
/// A circle, and everything that its waits depend on, itself included.
struct Knot {
  std::vector<std::size_t> circle;
  std::vector<std::size_t> all;
};
[[nodiscard]] std::vector<Knot> find_knots(const std::vector<SeenWait>& waits);
/// Of each whether it is stuck.
[[nodiscard]] std::vector<bool> find_stuck(const std::vector<SeenWait>& waits);

/// What is known of contexts that wait, collected while they cannot leave their waits, so that the text can be made later.
class WaitReport {
 public:
  /// Which deadlock it tells of: the wait that closed the circle, and a sum of mark_of_wait() over the circle.
  struct Signature {
    std::uint64_t victim = 0;
    std::uint64_t epoch = 0;
    std::uint64_t circle = 0;
    friend bool operator==(const Signature&, const Signature&) = default;
  };

  WaitReport(std::string headline, std::int64_t now) : headline_{std::move(headline)}, now_{now} {}
  WaitReport(std::string headline, std::int64_t now, const Signature& signature)
      : headline_{std::move(headline)}, now_{now}, signature_{signature} {}

  /// `holders`: names, for the reader.
  void add(WaitStory story, std::string holders) { lines_.push_back({std::move(story), std::move(holders)}); }
  void set_ending(std::string ending) { ending_ = std::move(ending); }

  [[nodiscard]] const Signature& signature() const noexcept { return signature_; }
  /// Slow, and not under any lock of the engine's: it reads debug information, and asks the dynamic linker, whose lock another
  /// thread may hold while it makes a runtime.
  [[nodiscard]] std::string text() const;

 private:
  struct Line {
    WaitStory story;
    std::string holders;
  };

  std::string headline_;
  std::vector<Line> lines_;
  std::string ending_;
  std::int64_t now_;
  Signature signature_;
};

/// Finds deadlocks among the waits of all contexts. The monitor's; nothing here is thread-safe, but for what it reads.
///
/// Soundness: a wait is looked at three times. The first look finds the circle; the second reads again who holds what, and the third
/// finds every context in the very wait it was in at the first. So between the ends of the first and the beginnings of the
/// third all of them were blocked at once, each for something that the next one held during the second; what a blocked context
/// holds it cannot let go of, and nothing is given to it without deciding its wait. That is a deadlock, and it remains one unless
/// somebody outside ends one of them by a kill.
class DeadlockWatch {
 public:
  /// Reports to be made, of deadlocks that were not remember()ed. Those that were are resolved: the one that blocked last, of those
  /// that may throw, gets the report as its DeadlockError.
  [[nodiscard]] std::vector<WaitReport> look(const std::vector<Scheduler*>& schedulers, std::int64_t now);
  /// It has been reported, in these words; the next look(), which is due at once, may resolve it. One that spans processes is
  /// resolved when it has been seen to last since.
  void remember(const WaitReport::Signature& signature, std::string text);

  /// Whether it has looked at all waits that began before then, and what it saw changes only with something that is noticed.
  [[nodiscard]] bool may_rest_after(std::int64_t moment) const noexcept { return looked_at_ >= moment && !is_unclear_; }

  /// A report of what is blocked, once, when all has stood still for as long as was asked for.
  [[nodiscard]] std::optional<WaitReport> look_for_standstill(const std::vector<Scheduler*>& schedulers, std::int64_t now);

 private:
  struct Reported {
    WaitReport::Signature signature;
    std::string text;
    std::int64_t at;  // when it had been reported
  };

  [[nodiscard]] const Reported* reported(const WaitReport::Signature& signature) const;
  void forget_what_is_over(const std::vector<SeenWait>& waits);
  [[nodiscard]] std::vector<WaitReport> look_here(const std::vector<SeenWait>& waits, std::int64_t now) const;
  [[nodiscard]] std::vector<WaitReport> look_beyond(const std::vector<SeenWait>& waits, const std::vector<FarDeadlock>& deadlocks,
                                                    std::int64_t now) const;

  // Each as long as its victim's wait lasts: that a look does not prove it anew, as another process is late with its own, says nothing.
  std::vector<Reported> reported_;
  std::int64_t looked_at_ = 0;  // waits that began before then
  std::int64_t next_look_ = 0;
  bool is_unclear_ = false;  // whether others of this process may act, for those of other processes who wait for it
  std::uint64_t fingerprint_ = 0;
  std::int64_t still_since_ = 0;
  bool told_ = false;
};

}  // namespace weft::detail
