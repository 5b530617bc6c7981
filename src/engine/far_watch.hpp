#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/waits.hpp"

namespace weft::detail {

/// What one look of the monitor has found.
struct OwnLook {
  std::int64_t begin = 0;  ///< No wait was read before this,
  std::int64_t end = 0;    ///< and none after this.
  const std::vector<SeenWait>& waits;
  bool nobody_else = false;  ///< Nobody in this process may do anything but these.
};

/// A deadlock of several processes, of which one of this one's waits is to be ended.
struct FarDeadlock {
  struct Member {
    WaitStory story;
    std::string holders;  ///< Names, for the reader.
  };

  std::size_t victim = 0;           ///< Which of OwnLook::waits.
  std::uint64_t circle = 0;         ///< The same while it is made of the same waits.
  std::vector<Member> members;      ///< The victim's first.
  std::string headline;
  std::int64_t proved_until = 0;    ///< All of them were blocked at this moment.
};

/// The search for deadlocks beyond this process, by a library above the engine. All but the bell is the monitor's, with its lock held.
class FarWatch {
 public:
  /// Where other processes ring when this one is to look again: a futex in shared memory, and what it was when this process looked
  /// last. Null: nobody will.
  struct Bell {
    const std::atomic<std::uint32_t>* word = nullptr;
    std::uint32_t seen = 0;
    [[nodiscard]] bool has_rung() const noexcept { return word && word->load(std::memory_order_acquire) != seen; }
  };

  /// Who in other processes must act to end a wait that is marked as `outside`. Under a pin: it must not block. Empty: nobody known.
  [[nodiscard]] virtual std::vector<FarHolder> holders_of(const Wait& wait) = 0;
  /// Tells the others of what was found, and looks at what they tell.
  [[nodiscard]] virtual std::vector<FarDeadlock> look(const OwnLook& own) = 0;
  [[nodiscard]] virtual Bell bell() const noexcept = 0;

 protected:
  ~FarWatch() = default;
};

/// As the program starts, for ever.
void set_far_watch(FarWatch& watch) noexcept;
/// Null: there is none.
[[nodiscard]] FarWatch* far_watch() noexcept;

}  // namespace weft::detail
