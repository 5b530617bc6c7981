#include "process/sync/wait_board.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "process/deadlock/family_watch.hpp"  // the one look upwards: who has a board is watched, however it came to it
#include "process/sync/shared_futex.hpp"

namespace weft::process::detail {

using weft::detail::FarHolder;

struct WaitBoard::Seat {
  std::atomic<std::uint64_t> owner{0};    // a ProcessStamp
  std::atomic<std::uint64_t> version{0};  // odd: being written; 0: nothing has been
  std::atomic<std::uint32_t> bell{0};
};

struct WaitBoard::Head {
  std::atomic<std::uint32_t> seats_used{0};
  Seat seats[kSeats];
};

namespace {

constexpr std::size_t kPage = 4096;

/// How a text begins; the waits and the holders follow.
struct Preface {
  ProcessStamp process;
  std::uint64_t waits, holders;
  Told::Look looks[Told::kLooks];
  char name[sizeof Told::name];
};
static_assert(sizeof(Preface) + WaitBoard::kMostWaits * sizeof(ToldWait) + WaitBoard::kMostHolders * sizeof(FarHolder) <= WaitBoard::kSeatBytes);
static_assert(std::is_trivially_copyable_v<ToldWait> && std::is_trivially_copyable_v<FarHolder>);
static_assert(sizeof(Preface) % 8 == 0 && sizeof(ToldWait) % 8 == 0 && sizeof(FarHolder) % 8 == 0);

// Never freed: the monitor reads it until the process ends.
std::atomic<WaitBoard*> board{nullptr};

void put(std::atomic<std::uint64_t>*& at, const void* bytes, std::size_t size) noexcept {
  const auto* from = static_cast<const std::byte*>(bytes);
  for (std::size_t done = 0; done < size; done += sizeof(std::uint64_t)) {
    std::uint64_t value = 0;
    std::memcpy(&value, from + done, sizeof value);
    (at++)->store(value, std::memory_order_relaxed);
  }
}

void get(const std::atomic<std::uint64_t>*& at, void* bytes, std::size_t size) noexcept {
  auto* to = static_cast<std::byte*>(bytes);
  for (std::size_t done = 0; done < size; done += sizeof(std::uint64_t)) {
    const std::uint64_t value = (at++)->load(std::memory_order_relaxed);
    std::memcpy(to + done, &value, sizeof value);
  }
}

}  // namespace

static constexpr std::size_t kHeadBytes = (sizeof(std::uint64_t) + WaitBoard::kSeats * 24 + kPage - 1) / kPage * kPage;
static constexpr std::size_t kBoardBytes = kHeadBytes + WaitBoard::kSeats * WaitBoard::kSeatBytes;

WaitBoard* WaitBoard::of_family() noexcept { return board.load(std::memory_order_acquire); }

// Whoever comes second keeps what the first has made: no child can have been given another one yet.
bool WaitBoard::install(OwnedFd memory) noexcept {
  try {
    Mapping mapping{memory.get(), kBoardBytes, "the memory in which processes tell what they wait for"};
    std::unique_ptr<WaitBoard> made{new WaitBoard{std::move(memory), std::move(mapping)}};
    WaitBoard* none = nullptr;
    if (board.compare_exchange_strong(none, made.get(), std::memory_order_acq_rel)) (void)made.release();
    watch_family();
    return true;
  } catch (...) {
    return false;
  }
}

// Only its head takes memory; of the rest each seat what is reserved as it is taken.
void WaitBoard::ensure() noexcept {
  static_assert(sizeof(Head) <= kHeadBytes);
  if (of_family() || !is_within_file_size_limit(kBoardBytes)) return;
  OwnedFd memory{::memfd_create("weft-waits", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!memory || ::ftruncate(memory.get(), static_cast<off_t>(kBoardBytes)) != 0 ||
      ::fallocate(memory.get(), 0, 0, static_cast<off_t>(kHeadBytes)) != 0) {
    return;
  }
  (void)::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  (void)install(std::move(memory));
}

std::optional<OwnedFd> WaitBoard::share() noexcept {
  const WaitBoard* const self = of_family();
  if (!self) return std::nullopt;
  OwnedFd copy{::fcntl(self->memory_.get(), F_DUPFD_CLOEXEC, 0)};
  if (!copy) return std::nullopt;
  return copy;
}

void WaitBoard::adopt(OwnedFd memory) noexcept {
  const int seals = ::fcntl(memory.get(), F_GET_SEALS);
  if (seals >= 0 && (seals & F_SEAL_SHRINK) != 0) (void)install(std::move(memory));
}

WaitBoard::Head& WaitBoard::head() const noexcept { return *reinterpret_cast<Head*>(mapping_.bytes().data()); }

std::atomic<std::uint64_t>* WaitBoard::words(std::size_t seat) const noexcept {
  return reinterpret_cast<std::atomic<std::uint64_t>*>(mapping_.bytes().data() + kHeadBytes + seat * kSeatBytes);
}

std::size_t WaitBoard::seats() const noexcept {
  return std::min<std::size_t>(head().seats_used.load(std::memory_order_acquire), kSeats);
}

std::optional<std::size_t> WaitBoard::take_seat() noexcept {
  for (std::size_t number = 0; number < kSeats; ++number) {
    std::atomic<std::uint64_t>& owner = head().seats[number].owner;
    std::uint64_t former = owner.load(std::memory_order_relaxed);
    if (former != 0 && !process_is_gone(former)) continue;
    // Acquire and release: behind all that the former owner has written, ahead of what this one will.
    if (!owner.compare_exchange_strong(former, this_process_stamp(), std::memory_order_acq_rel)) continue;
    // A write that finds no memory would be a SIGBUS.
    if (::fallocate(memory_.get(), 0, static_cast<off_t>(kHeadBytes + number * kSeatBytes), kSeatBytes) != 0) {
      owner.store(0, std::memory_order_release);
      return std::nullopt;
    }
    auto& used = head().seats_used;
    for (std::uint32_t seen = used.load(std::memory_order_relaxed);
         seen <= number && !used.compare_exchange_weak(seen, static_cast<std::uint32_t>(number + 1), std::memory_order_acq_rel);) {
    }
    return number;
  }
  return std::nullopt;
}

void WaitBoard::tell(std::size_t seat, const Told& told) noexcept {
  std::atomic<std::uint64_t>& version = head().seats[seat].version;
  const std::uint64_t writing = version.load(std::memory_order_relaxed) | 1;
  version.store(writing, std::memory_order_relaxed);
  // Whoever reads any of what follows, and then the version, finds it changed.
  std::atomic_thread_fence(std::memory_order_release);
  Preface preface{.process = told.process, .waits = told.waits.size(), .holders = told.holders.size(), .looks = {}, .name = {}};
  std::copy(std::begin(told.looks), std::end(told.looks), std::begin(preface.looks));
  std::copy(std::begin(told.name), std::end(told.name), std::begin(preface.name));
  std::atomic<std::uint64_t>* at = words(seat);
  put(at, &preface, sizeof preface);
  put(at, told.waits.data(), told.waits.size() * sizeof(ToldWait));
  put(at, told.holders.data(), told.holders.size() * sizeof(FarHolder));
  version.store(writing + 1, std::memory_order_release);
}

// A writer is done in some microseconds, unless it has died or is held up: then it is as if it told nothing.
std::optional<Told> WaitBoard::read(std::size_t seat) const {
  constexpr int kTries = 100;
  const std::atomic<std::uint64_t>& version = head().seats[seat].version;
  for (int i = 0; i < kTries; ++i) {
    const std::uint64_t before = version.load(std::memory_order_acquire);
    if (before == 0) return std::nullopt;
    if (before & 1) continue;
    Told told;
    Preface preface;
    const std::atomic<std::uint64_t>* at = words(seat);
    get(at, &preface, sizeof preface);
    if (preface.waits <= kMostWaits && preface.holders <= kMostHolders) {
      told.waits.resize(preface.waits);
      told.holders.resize(preface.holders);
      get(at, told.waits.data(), told.waits.size() * sizeof(ToldWait));
      get(at, told.holders.data(), told.holders.size() * sizeof(FarHolder));
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (version.load(std::memory_order_relaxed) != before) continue;
    told.process = preface.process;
    std::copy(std::begin(preface.looks), std::end(preface.looks), std::begin(told.looks));
    std::copy(std::begin(preface.name), std::end(preface.name), std::begin(told.name));
    told.name[sizeof told.name - 1] = '\0';
    for (ToldWait& wait : told.waits) {
      // A process that writes where it must not may have been here.
      if (wait.first_holder > told.holders.size() || wait.holders > told.holders.size() - wait.first_holder) wait.holders = 0;
      wait.who[sizeof wait.who - 1] = wait.object[sizeof wait.object - 1] = '\0';
    }
    return told;
  }
  return std::nullopt;
}

const std::atomic<std::uint32_t>& WaitBoard::bell(std::size_t seat) const noexcept { return head().seats[seat].bell; }

void WaitBoard::ring(std::size_t seat) noexcept {
  std::atomic<std::uint32_t>& bell = head().seats[seat].bell;
  bell.fetch_add(1, std::memory_order_release);  // behind what it is to be looked at for
  shared_wake(bell, kWakeAll);
}

}  // namespace weft::process::detail
