#pragma once

#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <weft/base/owned_fd.hpp>
#include <weft/detail/context.hpp>

// What a pool and one of its workers share: a ring of slots in a memfd, and a socket for descriptors. One worker has one link, so
// that a worker that is killed, or writes where it must not, damages no other.
namespace weft::detail {

/// Where a task stands. Only these steps are made:
///
///   Free --pool--> Queued --worker--> Taken --worker--> Done --pool--> Free
///                     \---pool---> Withdrawn --worker--> Free
///
/// Queued is left by a compare-and-swap, so that a task is begun by the worker or taken back by the pool, never both. A worker that is killed
/// leaves each slot in one of these states: Taken is the one task that it may have begun; what is Queued it has not, and the pool gives
/// it to another, but only once the worker is known to be dead; what is Done is whole, as it is stored last.
enum class SlotState : std::uint32_t { Free, Queued, Taken, Withdrawn, Done };

/// Where the bytes of a request or reply are.
enum class SlotBytes : std::uint16_t { Inline, Area, Block };
enum class SlotKind : std::uint16_t { Value, Failure };

/// One task: the request, and, when it is done, the reply in the same place, so that a small task moves two cache lines there and back.
struct alignas(64) PoolSlot {
  static constexpr std::size_t kInline = 256 - 40;

  std::atomic<SlotState> state{SlotState::Free};
  std::uint32_t descriptors = 0;  // they come by the socket, those of a block first
  SlotBytes bytes_at = SlotBytes::Inline;
  SlotKind kind = SlotKind::Value;
  std::uint16_t timed = 0;  // the pool wants to know when it began
  std::uint16_t area = 0;   // its own, for request and reply
  std::uint64_t size = 0;
  std::uint64_t number = 0;
  std::atomic<std::int64_t> begun_at{0};
  std::byte bytes[kInline];
};
static_assert(sizeof(PoolSlot) == 256);

inline constexpr unsigned kPoolSlots = 64;
inline constexpr std::size_t kAreaBytes = std::size_t{64} << 10;
inline constexpr unsigned kMostDescriptors = 250;  // of a task, or a result: what one message carries

/// The beginning of a link's memory; behind it as many areas as slots, which cost nothing until they are used.
struct PoolBoard {
  enum class Stage : std::uint32_t { Starting, Initializing, Ready, InitializerFailed, Retired };

  std::atomic<Stage> stage{Stage::Starting};
  std::atomic<std::uint32_t> closing{0};  // no more tasks will come
  char failure[1000] = {};                // why the initializer failed
  /// Futex: 1 while the worker sleeps. Worker: sets it, and looks at the next slot again; pool: fills a slot, and looks at it; a full
  /// barrier in between on both sides, so that one sees the other.
  alignas(64) std::atomic<std::uint32_t> asleep{0};
  PoolSlot slots[kPoolSlots];
};

/// What all workers of a pool share with it: whom to tell of what is done.
struct PoolDoor {
  static constexpr std::uint32_t kLooking = 1;     ///< A thread of the pool's process looks again and again: nobody need be told.
  static constexpr std::uint32_t kSleeper = 2;     ///< A thread sleeps on this word.
  static constexpr std::uint32_t kDispatcher = 4;  ///< The pool's own thread sleeps until its eventfd is written to,
  static constexpr std::uint32_t kFiber = 8;       ///< or a fiber until its own is.
  static constexpr std::uint32_t kSubmitter = 16;  ///< Who has submitted the only task wakes its worker, and will look next: as kLooking.

  std::atomic<std::uint32_t> attention{0};
};

/// Memory that other processes may map, too: a memfd and its mapping, which children of fork() do not inherit.
class SharedPages {
 public:
  SharedPages() = default;
  /// Makes it. Throws OSError.
  SharedPages(const char* label, std::size_t size);
  /// Maps what another process has made. Throws OSError.
  SharedPages(OwnedFd fd, std::size_t size);
  SharedPages(SharedPages&& other) noexcept;
  SharedPages& operator=(SharedPages&& other) noexcept;
  ~SharedPages();

  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  void close_fd() noexcept { fd_.reset(); }

 private:
  void map(std::size_t size);

  OwnedFd fd_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::uint32_t process_ = this_process();
};

/// One side of a link.
class PoolLink {
 public:
  [[nodiscard]] static std::size_t bytes() noexcept;

  PoolLink(SharedPages pages, OwnedFd socket) noexcept : pages_{std::move(pages)}, socket_{std::move(socket)} {}

  [[nodiscard]] PoolBoard& board() const noexcept { return *reinterpret_cast<PoolBoard*>(pages_.data()); }
  [[nodiscard]] PoolSlot& slot(std::uint64_t index) const noexcept { return board().slots[index % kPoolSlots]; }
  [[nodiscard]] std::span<std::byte> area(unsigned number) const noexcept;
  /// In the pool, with its lock: an area that nobody uses; there is one for each slot. The lowest, as memory that has been used costs no
  /// page faults.
  [[nodiscard]] unsigned take_area() noexcept {
    const std::uint64_t free = free_areas_.load(std::memory_order_acquire);
    const auto lowest = static_cast<unsigned>(std::countr_zero(free));
    free_areas_.fetch_and(~(std::uint64_t{1} << lowest), std::memory_order_relaxed);
    return lowest;
  }
  /// Without: release, so that who takes it comes behind the reading.
  void give_area_back(unsigned number) noexcept { free_areas_.fetch_or(std::uint64_t{1} << number, std::memory_order_release); }
  [[nodiscard]] SharedPages& pages() noexcept { return pages_; }

  /// Sends descriptors as the message of task `number`. 0 or an errno value.
  [[nodiscard]] int send_descriptors(std::uint64_t number, std::span<const int> descriptors) noexcept;
  /// Receives the message of task `number`, which has been sent; those of tasks that were withdrawn are dropped. Throws OSError: this process
  /// has no room for them; ProtocolError.
  [[nodiscard]] std::vector<OwnedFd> receive_descriptors(std::uint64_t number, std::size_t count);

 private:
  static_assert(kPoolSlots == 64);

  SharedPages pages_;
  OwnedFd socket_;
  std::atomic<std::uint64_t> free_areas_{~std::uint64_t{0}};
};

/// So long is the memory that large values went in kept for the next ones, on both sides.
inline constexpr std::chrono::seconds kKeepBlocks{1};

/// What a worker is started with.
struct PoolSeat {
  OwnedFd memory;
  OwnedFd door;
  OwnedFd bell;        // the eventfds of the dispatcher,
  OwnedFd fiber_bell;  // and of the fiber that listens
  OwnedFd socket;
  std::string name;
  std::uint64_t most_tasks = 0;   // then it ends; 0: never
  bool starts_processes = false;
  std::vector<std::byte> initializer;  // a sent call; empty: none
  std::vector<OwnedFd> initializer_descriptors;

  // Not taken apart as an aggregate: Clang, asked whether a vector could be two fields, instantiates the copying of what is in it.
  template <class Archive>
  void serialize(Archive& archive) {
    archive(memory, door, bell, fiber_bell, socket, name, most_tasks, starts_processes, initializer, initializer_descriptors);
  }
};

}  // namespace weft::detail
