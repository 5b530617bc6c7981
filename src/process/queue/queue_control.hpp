#pragma once

#include <atomic>
#include <cstdint>

#include "process/queue/task_ledger.hpp"
#include "process/sync/shared_lock.hpp"

namespace weft::process::detail {

inline constexpr std::uint32_t kSegmentBytes = 128 * 1024;
/// Where the strings of a segment begin. A page, so that a spare segment can give back all but this.
inline constexpr std::uint32_t kSegmentStart = 4096;
inline constexpr std::uint32_t kNoSegment = 0xFFFFFFFF;

struct SegmentHeader {
  std::uint32_t next;        ///< In the chain, once there are strings behind this segment.
  std::uint32_t next_spare;  ///< In a stack of spare ones.
};

/// A place in the stream.
struct QueuePlace {
  std::uint32_t segment = kNoSegment;
  std::uint32_t position = 0;
};

/// One end of the stream, with the lock that guards it, and a line of memory of its own.
struct alignas(64) QueueSide {
  SharedLockWord lock;
  std::atomic<std::uint64_t> count;  ///< Strings that were put, or got, ever. Changed by publish() only.
  QueuePlace at[2];                  ///< Where this end is: the one that the count's lowest bit tells.
  std::uint64_t known_other;         ///< What the other side's count was some time ago.
  std::uint32_t reserved;            ///< Puts: up to where segment 0 has memory.

  [[nodiscard]] QueuePlace place() const noexcept { return at[count.load(std::memory_order_relaxed) & 1]; }
  /// Release: with the count goes all that was written, or no longer read, before.
  void publish(QueuePlace place) noexcept {
    const std::uint64_t next = count.load(std::memory_order_relaxed) + 1;
    at[next & 1] = place;
    count.store(next, std::memory_order_release);
  }
};

/// For whom a change is to wake. Whoever finds that he must wait notes `changes`, adds himself to `sleepers`, looks once more, and sleeps
/// while `changes` is what he noted: one who is taken off before he sleeps finds it changed. Whoever has made a change takes one off `sleepers`, if there
/// is one, changes `changes` and wakes one. Between the two there is a full barrier on both sides, so that one sees the
/// other.
///
/// Only a select() that found something else takes itself off, as it may do so many times a second. Else nobody does: one too many, of somebody
/// who gave up or was killed, costs one futile wake-up and is gone.
/// One too few, of somebody who was killed as he was about to wake, or had been woken, is found by the Look of those
/// who sleep.
struct alignas(64) QueueSignal {
  std::atomic<std::uint32_t> changes;
  std::atomic<std::uint32_t> sleepers;

  /// After the change, and a full barrier.
  void notify_one() noexcept;
  void notify_all() noexcept;
  /// Takes the caller off, who finds `changes` as he noted it.
  void leave() noexcept;
};

enum class QueueEnd : std::uint32_t { Open, Gentle, Immediate };

/// The first page of a queue's file.
struct QueueControl {
  SegmentHeader header;  // that of segment 0
  std::uint64_t magic;
  std::uint64_t type;
  std::uint64_t maxsize;      // 0: none
  std::uint32_t has_ledger;   // it is a JoinableQueue
  std::atomic<QueueEnd> end;  // changed under both locks
  char name[64];              // empty: none

  QueueSide puts;
  QueueSide gets;
  QueueSignal items;                            // there is one, or there will be none
  QueueSignal room;                             // there is some, or no need for it
  QueueSignal all_done;                         // every task is
  alignas(64) std::atomic<std::uint64_t> done;  // task_done() ever
  TaskLedger ledger;

  // Segments: how many there are, and the spare ones. Taken under the lock of puts only, so that no stack needs a tag;
  // those in `bare` have given their memory back.
  alignas(64) std::uint32_t segments;
  std::atomic<std::uint32_t> spare;
  std::atomic<std::uint32_t> bare;
  std::atomic<std::int32_t> spares;  // about so many are in `spare`
  std::atomic<std::uint32_t> needs_repair;
};
static_assert(sizeof(QueueControl) <= kSegmentStart);

}  // namespace weft::process::detail
