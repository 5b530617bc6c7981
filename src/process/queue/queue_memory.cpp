#include "process/queue/queue_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include <weft/base/error.hpp>

#include "process/memory/memory.hpp"

namespace weft::process::detail {

namespace {

constexpr std::uint64_t kMagic = 0x3145554555515457;  // "WTQUEUE1"
/// Segment 0 gets its memory by so much: most queues never need more.
constexpr std::uint32_t kFirstStep = 16 * 1024;
/// So many spare segments keep their memory.
constexpr std::int32_t kKeptSpares = 16;

const char* describe(const QueueControl& control) noexcept {
  return control.name[0] ? control.name : "(unnamed)";
}

std::byte* map(int file, std::uint64_t offset, std::size_t bytes) {
  void* const at =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, static_cast<off_t>(offset));
  if (at == MAP_FAILED)
    throw OSError{errno, "map", std::to_string(bytes) + " bytes of a queue between processes"};
  return static_cast<std::byte*>(at);
}

constexpr std::size_t window_of(std::uint32_t segment) {
  return static_cast<std::size_t>(std::bit_width(segment));
}
constexpr std::uint32_t first_segment(std::size_t window) {
  return window == 0 ? 0 : 1u << (window - 1);
}
constexpr std::size_t window_bytes(std::size_t window) {
  return std::size_t{kSegmentBytes} * (window == 0 ? 1 : first_segment(window));
}
constexpr std::uint64_t offset_of(std::uint32_t segment) {
  return std::uint64_t{segment} * kSegmentBytes;
}

}  // namespace

// ---- the file ------------------------------------------------------------------------------------------------------

QueueMemory::QueueMemory(const Setup& setup) : file_{::memfd_create("weft-queue", MFD_CLOEXEC)} {
  if (!file_) throw OSError{errno, "create", "the memory of a queue between processes"};
  reserve(0, kSegmentStart + kFirstStep);
  control_ = reinterpret_cast<QueueControl*>(map(file_.get(), 0, kSegmentBytes));
  auto& control = *std::construct_at(control_);
  control.header = {kNoSegment, kNoSegment};
  control.type = setup.type;
  control.maxsize = setup.maxsize;
  if (setup.name) std::strncpy(control.name, setup.name, sizeof control.name - 1);
  for (QueueSide* side : {&control.puts, &control.gets}) side->at[0] = {0, kSegmentStart};
  control.puts.reserved = kSegmentStart + kFirstStep;
  control.segments = 1;
  control.spare = control.bare = kNoSegment;
  control.magic = kMagic;
}

QueueMemory::QueueMemory(OwnedFd file, std::uint64_t type) : file_{std::move(file)} {
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0)
    throw OSError{errno, "look at", "the memory of a queue between processes"};
  if (static_cast<std::uint64_t>(status.st_size) < kSegmentStart)
    throw ProtocolError{"receiving a queue: the descriptor that came is not the memory of one"};
  control_ = reinterpret_cast<QueueControl*>(map(file_.get(), 0, kSegmentBytes));
  const bool right = control_->magic == kMagic, same = control_->type == type;
  if (right && same) return;
  ::munmap(control_, kSegmentBytes);
  throw ProtocolError{right ? "receiving a queue: it was sent as a queue of another kind or of other values"
                            : "receiving a queue: the descriptor that came is not the memory of one"};
}

QueueMemory::~QueueMemory() {
  if (control_) ::munmap(control_, kSegmentBytes);
  for (std::size_t window = 1; window < kWindows; ++window) {
    if (std::byte* const at = windows_[window].load(std::memory_order_relaxed))
      ::munmap(at, window_bytes(window));
  }
}

std::byte* QueueMemory::later_segment(std::uint32_t number) {
  const std::size_t window = window_of(number);
  std::byte* base = windows_[window].load(std::memory_order_acquire);
  if (!base) base = map_window(window);
  return base + (number - first_segment(window)) * std::size_t{kSegmentBytes};
}

// It may reach beyond the end of the file, which comes with time. By several threads at once: the first one's counts.
std::byte* QueueMemory::map_window(std::size_t window) {
  std::byte* const mine = map(file_.get(), offset_of(first_segment(window)), window_bytes(window));
  std::byte* theirs = nullptr;
  if (windows_[window].compare_exchange_strong(theirs, mine, std::memory_order_acq_rel)) return mine;
  ::munmap(mine, window_bytes(window));
  return theirs;
}

/// Memory for this part of the file, which becomes so long if it was not: had it none, the write would end in a signal.
void QueueMemory::reserve(std::uint64_t offset, std::uint64_t bytes) {
  const std::string name = control_ ? std::string{" \""} + describe(*control_) + '"' : "";
  reserve_memory(file_.get(), offset, offset + bytes, "the queue between processes" + name);
}

// ---- strings -------------------------------------------------------------------------------------------------------

void QueueMemory::write_record(std::byte* record, std::span<const std::byte> bytes) noexcept {
  const std::uint64_t size = bytes.size();
  std::memcpy(record, &size, kLengthBytes);
  if (size != 0) std::memcpy(record + kLengthBytes, bytes.data(), size);
}

std::size_t QueueMemory::record_size(const std::byte* record) noexcept {
  std::uint64_t size = 0;
  std::memcpy(&size, record, kLengthBytes);
  return size;
}

void QueueMemory::copy_record(std::byte* to, const std::byte* record, std::size_t size) noexcept {
  if (size != 0) std::memcpy(to, record + kLengthBytes, size);
}

/// Writes on from a place, through as many segments as it takes.
class QueueMemory::Writer {
 public:
  Writer(QueueMemory& memory, QueuePlace at) : memory_{memory}, at_{at} {}

  void write(const void* from, std::size_t size) {
    const auto* bytes = static_cast<const std::byte*>(from);
    while (size != 0) {
      if (at_.position == kSegmentBytes) go_on();
      const std::size_t some = std::min<std::size_t>(size, kSegmentBytes - at_.position);
      std::memcpy(memory_.segment(at_.segment) + at_.position, bytes, some);
      at_.position += static_cast<std::uint32_t>(some);
      bytes += some;
      size -= some;
    }
  }
  /// The end of the record. Segments are whole numbers of eight bytes.
  [[nodiscard]] QueuePlace end() const noexcept { return {at_.segment, (at_.position + 7) / 8 * 8}; }

 private:
  void go_on() {
    const std::uint32_t next = memory_.take_segment();
    // Of the stream's last segment nobody reads this; of one that was taken a moment ago neither.
    memory_.header(at_.segment).next = next;
    at_ = {next, kSegmentStart};
  }

  QueueMemory& memory_;
  QueuePlace at_;
};

QueuePlace QueueMemory::write_across(QueuePlace end, std::span<const std::byte> bytes) {
  if (end.segment == 0 && control_->puts.reserved < kSegmentBytes) {
    const std::uint64_t needed = end.position + record_length(bytes.size());
    reserve_first(static_cast<std::uint32_t>(std::min<std::uint64_t>(needed, kSegmentBytes)));
    return write(bytes);
  }
  // Before a segment is taken: what this put takes is in no list until it is published.
  if (control_->needs_repair.load(std::memory_order_relaxed)) repair();
  try {
    Writer writer{*this, end};
    const std::uint64_t size = bytes.size();
    writer.write(&size, kLengthBytes);
    writer.write(bytes.data(), bytes.size());
    return writer.end();
  } catch (...) {
    control_->needs_repair.store(1, std::memory_order_relaxed);
    throw;
  }
}

void QueueMemory::reserve_first(std::uint32_t end) {
  const std::uint32_t reserved = control_->puts.reserved;
  end = std::min((end + kFirstStep - 1) / kFirstStep * kFirstStep, kSegmentBytes);
  reserve(reserved, end - reserved);
  control_->puts.reserved = end;
}

QueueMemory::Read QueueMemory::read_across(QueuePlace at, std::span<std::byte> room) {
  const auto read_on = [&](void* to, std::size_t size) {
    auto* bytes = static_cast<std::byte*>(to);
    while (size != 0) {
      if (at.position == kSegmentBytes) at = {header(at.segment).next, kSegmentStart};
      const std::size_t some = std::min<std::size_t>(size, kSegmentBytes - at.position);
      std::memcpy(bytes, segment(at.segment) + at.position, some);
      at.position += static_cast<std::uint32_t>(some);
      bytes += some;
      size -= some;
    }
  };
  std::uint64_t size = 0;
  read_on(&size, kLengthBytes);
  if (size > room.size()) return {size, {}};
  read_on(room.data(), size);
  return {size, {at.segment, (at.position + 7) / 8 * 8}};
}

// ---- segments ------------------------------------------------------------------------------------------------------

/// A segment that is in no list now. If nothing is published after all, repair() finds it.
std::uint32_t QueueMemory::take_segment() {
  std::uint32_t taken = pop(control_->spare);
  if (taken != kNoSegment) {
    control_->spares.fetch_sub(1, std::memory_order_relaxed);
    return taken;
  }
  taken = pop(control_->bare);
  if (taken == kNoSegment) return add_segment();
  try {
    reserve(offset_of(taken), kSegmentBytes);
  } catch (...) {
    push(control_->bare, taken);
    throw;
  }
  return taken;
}

// Memory first, then the number: killed in between, the next one asks for the same memory again.
std::uint32_t QueueMemory::add_segment() {
  const std::uint32_t number = control_->segments;
  if (window_of(number) >= kWindows)
    throw OSError{EFBIG, "put into", std::string{"the queue "} + describe(*control_)};
  reserve(offset_of(number), kSegmentBytes);
  (void)segment(number);  // mapped, or refused, before it counts
  control_->segments = number + 1;
  return number;
}

/// The segments from `first` to before `last`, which have been read.
void QueueMemory::set_free(std::uint32_t first, std::uint32_t last) noexcept {
  while (first != last) {
    const std::uint32_t next = header(first).next;
    make_spare(first);
    first = next;
  }
}

void QueueMemory::make_spare(std::uint32_t number) noexcept {
  const bool keep = control_->spares.load(std::memory_order_relaxed) < kKeptSpares;
  if (!keep && ::fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                           static_cast<off_t>(offset_of(number)) + kSegmentStart,
                           kSegmentBytes - kSegmentStart) == 0) {
    push(control_->bare, number);
    return;
  }
  push(control_->spare, number);
  control_->spares.fetch_add(1, std::memory_order_relaxed);
}

// Release: who takes the segment writes to it after we have read it.
void QueueMemory::push(std::atomic<std::uint32_t>& stack, std::uint32_t number) noexcept {
  std::uint32_t top = stack.load(std::memory_order_relaxed);
  do {
    std::atomic_ref{header(number).next_spare}.store(top, std::memory_order_relaxed);
  } while (!stack.compare_exchange_weak(top, number, std::memory_order_release, std::memory_order_relaxed));
}

// Only under the lock of puts: nobody else can take the top away and put it back meanwhile, with another one below.
std::uint32_t QueueMemory::pop(std::atomic<std::uint32_t>& stack) {
  std::uint32_t top = stack.load(std::memory_order_acquire);
  while (top != kNoSegment) {
    const std::uint32_t below = std::atomic_ref{header(top).next_spare}.load(std::memory_order_relaxed);
    if (stack.compare_exchange_weak(top, below, std::memory_order_acquire, std::memory_order_acquire))
      return top;
  }
  return kNoSegment;
}

/// Which segments the stream goes through. False: it does not end. Holding both locks.
bool QueueMemory::mark_chain(std::span<bool> used) {
  const std::uint32_t last = control_->puts.place().segment;
  std::uint32_t at = control_->gets.place().segment;
  for (std::size_t steps = 0; steps < used.size() && at < used.size(); ++steps) {
    used[at] = true;
    if (at == last) return true;
    at = header(at).next;
  }
  return false;
}

/// Makes every segment spare that the stream does not go through. Holding the lock of puts, before anything is written.
/// From what is published alone, so that a repair in which the process is killed is made again by the next.
void QueueMemory::repair() {
  // Without it the stream is written all the same. Whoever gets has been stopped, perhaps, and nobody is to wait for that.
  SharedLockWord& gets = control_->gets.lock;
  constexpr std::chrono::milliseconds kPatience{5};
  const bool no_gets = gets.try_lock() || gets.lock_until(Deadline::after(kPatience), weft::detail::Interruptible::No, {.kind = weft::detail::WaitKind::Queue});
  if (!no_gets) return;
  const std::unique_ptr<SharedLockWord, void (*)(SharedLockWord*)> unlock{&gets, [](SharedLockWord* lock) { (void)lock->unlock(); }};
  const std::size_t count = control_->segments;
  const auto used = std::make_unique<bool[]>(count);
  if (!mark_chain({used.get(), count})) return;
  const auto for_each_unused = [&](auto visit) {
    for (std::uint32_t number = 0; number < count; ++number) {
      if (!used[number]) visit(number);
    }
  };
  for_each_unused(
      [&](std::uint32_t number) { (void)segment(number); });  // mapped, or refused, before anything changes
  control_->needs_repair.store(0, std::memory_order_relaxed);
  control_->spare.store(kNoSegment, std::memory_order_relaxed);
  control_->bare.store(kNoSegment, std::memory_order_relaxed);
  control_->spares.store(0, std::memory_order_relaxed);
  for_each_unused([&](std::uint32_t number) { make_spare(number); });
}

void QueueMemory::discard() noexcept {
  ::fallocate(file_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, kSegmentStart,
              static_cast<off_t>(offset_of(control_->segments)) - kSegmentStart);
}

QueueMemory::Census QueueMemory::census() {
  Census census{.all = control_->segments};
  const auto used = std::make_unique<bool[]>(census.all);
  if (mark_chain({used.get(), census.all}))
    census.chained = static_cast<std::size_t>(std::count(&used[0], &used[census.all], true));
  for (const auto* stack : {&control_->spare, &control_->bare}) {
    for (std::uint32_t at = stack->load(); at != kNoSegment; at = header(at).next_spare) ++census.spare;
  }
  return census;
}

}  // namespace weft::process::detail
