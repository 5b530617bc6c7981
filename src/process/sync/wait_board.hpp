#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <weft/base/owned_fd.hpp>

#include "engine/waits.hpp"
#include "process/memory/memory.hpp"
#include "process/memory/process_stamp.hpp"

namespace weft::process::detail {

/// A wait as a process tells its family of it.
struct ToldWait {
  std::uint64_t context = 0;   ///< 0: none, but the end of the process, which takes an act of one of the holders.
  std::uint64_t epoch = 0;     ///< With the context: this very wait.
  std::int64_t since = 0;
  std::int64_t seen_from = 0;  ///< It has been in it, for the same holders, at every look since this moment.
  std::uint32_t first_holder = 0;  ///< Among Told::holders, and
  std::uint32_t holders = 0;       ///< how many.
  weft::detail::WaitKind kind = weft::detail::WaitKind::None;
  bool can_throw = false;
  char who[62] = {};
  char object[160] = {};
};

/// What one process tells.
struct Told {
  struct Look {
    std::int64_t begin = 0, end = 0;
  };
  static constexpr std::size_t kLooks = 8;

  ProcessStamp process = 0;
  char name[64] = {};
  Look looks[kLooks] = {};  ///< The latest first; 0: none.
  std::vector<ToldWait> waits;
  std::vector<weft::detail::FarHolder> holders;
};

/// Shared memory in which the processes of a family (those that weft has started, and children of fork()) tell each other of waits that
/// others would have to end. Made before the first of them is started; nothing is written to it until a process has such a wait
/// that lasts.
///
/// A process that wants to tell takes a seat: a compare-and-swap of its stamp, into a seat that nobody has or whose owner has ended. It alone writes there,
/// between two steps of a version that is odd meanwhile. A kill at each place:
///   after the seat was taken    the former owner's text stands under its own stamp, and is as dead as that one
///   while it is being written   the version stays odd: nobody reads it; the next owner starts from there
///   before anybody is rung      whoever waits for the dead one learns of its end by other ways
/// So what is read is always a whole text of one process; how old it is the looks in it say.
class WaitBoard {
 public:
  /// Makes it, unless there is one. Without memory for it there is none, and only deadlocks within a process are found.
  static void ensure() noexcept;
  /// For a child that does not inherit it; empty: there is none.
  [[nodiscard]] static std::optional<OwnedFd> share() noexcept;
  static void adopt(OwnedFd memory) noexcept;
  /// Null: there is none.
  [[nodiscard]] static WaitBoard* of_family() noexcept;

  static constexpr std::size_t kSeats = 512;
  static constexpr std::size_t kSeatBytes = 16 * 1024;
  static constexpr std::size_t kMostWaits = 40, kMostHolders = 256;

  [[nodiscard]] std::optional<std::size_t> take_seat() noexcept;
  /// At most kMostWaits and kMostHolders. By the owner of the seat.
  void tell(std::size_t seat, const Told& told) noexcept;
  /// Nothing: nobody sits there, or it is being written.
  [[nodiscard]] std::optional<Told> read(std::size_t seat) const;
  /// No seat at or beyond has ever been taken.
  [[nodiscard]] std::size_t seats() const noexcept;

  /// A futex: another process rings.
  [[nodiscard]] const std::atomic<std::uint32_t>& bell(std::size_t seat) const noexcept;
  void ring(std::size_t seat) noexcept;

 private:
  struct Seat;
  struct Head;

  WaitBoard(OwnedFd memory, Mapping mapping) noexcept : memory_{std::move(memory)}, mapping_{std::move(mapping)} {}
  static bool install(OwnedFd memory) noexcept;
  [[nodiscard]] Head& head() const noexcept;
  [[nodiscard]] std::atomic<std::uint64_t>* words(std::size_t seat) const noexcept;

  OwnedFd memory_;
  Mapping mapping_;
};

}  // namespace weft::process::detail
