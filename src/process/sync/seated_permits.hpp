#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "process/memory/process_stamp.hpp"

namespace weft::process::detail {

/// The permits of a BoundedSemaphore: a seat for each, in which stands who has it. In memory that processes share, followed by the seats.
/// It survives the end of any process at any instruction: a seat changes by one compare-and-swap, and the permit of a holder that is
/// gone is given back by those who wait for one, or come to try.
///
/// The word is for sleeping only, while it is kWanted. Who writes kWanted looks at the seats afterwards, and takes it back, with a
/// wake-up, if one is free; who frees a seat looks at the word afterwards, and makes it 0, with a wake-up, if it is kWanted; all of it in
/// one order (seq_cst). So the word was last made kWanted by one who then saw all seats taken, and whoever frees one later sees it; or it
/// was made 0, and nobody falls asleep on that: the wake-up hit nobody, or one who writes kWanted anew, whether he gets a seat or not, or
/// passes the wake-up on, or finds kWanted written again by somebody, who then looks at the seats.
///
/// A kill at each place:
///   between taking a seat and anything else     the seat says who; those who wait look whether he lives
///   between freeing a seat and the wake-up      those who sleep look at the seats at intervals: one is free
///   woken, before taking a seat                 the word is not what those who sleep expect: they notice
///   in the middle of giving back several        the seats that were set aside for it have the dead one's name
class SeatedPermits {
 public:
  static constexpr std::uint32_t kMost = 1024;
  [[nodiscard]] static constexpr std::size_t bytes_of_seats(std::uint32_t count) noexcept { return count * sizeof(std::uint64_t); }

  /// Before anybody else sees it; zeroed. All are free.
  void make(std::uint32_t count) noexcept { count_ = count; }
  /// 0: it was not made.
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint32_t free() const noexcept;

  /// `slept`: after a wake-up, for which the word was made 0: others that sleep are seen to. Acquire.
  [[nodiscard]] bool take(bool slept) noexcept;
  /// As often as once in a millisecond, by whoever fails to take one and does not wait: gives back what the dead had.
  [[nodiscard]] bool take_from_the_dead() noexcept;
  /// Those of the caller's process first, then its parent's, then anybody's. False: so many were not taken; none is given back then. Throws
  /// std::bad_alloc for more than one. Release.
  [[nodiscard]] bool give_back(std::uint32_t permits);

  /// Before sleeping on word() until it is not kWanted. False: there is a free seat, and the word is as if this had not been called.
  bool want() noexcept;
  /// Somebody who was woken leaves without a seat.
  void pass_on() noexcept;
  [[nodiscard]] const std::atomic<std::uint32_t>& word() const noexcept { return word_; }
  static constexpr std::uint32_t kWanted = 1;
  /// A Look (weft/detail/shared_way.hpp) of a SeatedPermits.
  [[nodiscard]] static bool look(void* permits) noexcept;

  [[nodiscard]] bool holder_died() const noexcept { return holder_died_.load(std::memory_order_acquire) != 0; }
  void recovered() noexcept { holder_died_.store(0, std::memory_order_release); }

 private:
  using Seat = std::atomic<std::uint64_t>;  // 0: free; else a ProcessStamp, with this bit while it is set aside to be given back
  static constexpr std::uint64_t kLeaving = 1;

  [[nodiscard]] Seat* seats() noexcept { return reinterpret_cast<Seat*>(this + 1); }
  [[nodiscard]] const Seat* seats() const noexcept { return reinterpret_cast<const Seat*>(this + 1); }
  template <class Gone>
  bool bury(Gone is_gone) noexcept;
  void wake(std::uint32_t count) noexcept;
  enum class Whose { Own, Parents, Anybodys };
  [[nodiscard]] static bool may_give_back(std::uint64_t seat, Whose whose) noexcept;
  [[nodiscard]] bool give_back_one() noexcept;
  [[nodiscard]] bool give_back_several(std::uint32_t permits);

  std::atomic<std::uint32_t> word_{0};
  std::atomic<std::uint32_t> holder_died_{0};
  std::atomic<std::int64_t> last_look_{0};  // of those who do not wait: steady nanoseconds
  std::uint32_t count_ = 0;
};

}  // namespace weft::process::detail
