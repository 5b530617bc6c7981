#include "process/memory/large_block.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>

#include "engine/fork.hpp"
#include "engine/immortal.hpp"
#include "engine/spin_lock.hpp"
#include "process/memory/memory.hpp"

namespace weft::process::detail {

namespace {

constexpr std::size_t kPage = 4096;  // the first holds the header, what is sent follows
constexpr char kObject[] = "a block for a large value";
constexpr std::uint64_t kMagic = 0x626c'6f63'6b77'6566;

struct Header {
  std::uint64_t magic;
  std::uint64_t tag;                // random: an inode number may come again, this does not
  std::atomic<std::uint32_t> lent;  // receivers that may still read it
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free);

// From here on a copy by the kernel beats one that takes a page fault every 4 KiB; until a mapping has been used so often that its
// faults, taken once, will have been worth it.
constexpr std::size_t kByKernel = 64 << 10;
constexpr std::uint32_t kUsesByKernel = 3;
// As long as this is all that is wasted, a block that is too large will do.
constexpr std::size_t kLargestWaste = 4;

/// Another in each child of fork(); changes only while it has one thread.
constinit std::uint32_t generation_now = 0;

std::uint64_t random_tag() noexcept {
  std::uint64_t tag = 0;
  // Never interrupted nor short for so few bytes.
  while (::getrandom(&tag, sizeof tag, 0) < 0 && errno == EINTR) {
  }
  return tag;
}

std::size_t whole_pages(std::size_t size) noexcept { return (size + kPage - 1) / kPage * kPage; }

}  // namespace

struct LargeBlock::Held {
  Held();
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held();

  Mapping mapping;
  OwnedFd fd;                // the sender's, and the receiver's until the mapping has been used before
  std::uint64_t inode = 0;   // the receiver's
  bool received = false;
  std::uint32_t uses = 0;    // of this mapping, with this one
  std::uint32_t generation = generation_now;
  std::int64_t kept_since = 0;

  [[nodiscard]] Header& header() const noexcept { return *reinterpret_cast<Header*>(mapping.bytes().data()); }
  [[nodiscard]] std::size_t room() const noexcept { return mapping.bytes().size() - kPage; }
  [[nodiscard]] std::byte* payload() const noexcept { return mapping.bytes().data() + kPage; }
  [[nodiscard]] bool kernel_copies(std::size_t size) const noexcept {
    return uses <= kUsesByKernel && fd && size >= kByKernel;
  }
  // A copy that fork() made is neither the child's to use again, nor its to count: the parent does both.
  [[nodiscard]] bool is_of_this_process() const noexcept { return generation == generation_now; }
};

/// The blocks of this process that may be used again, oldest first: those it made, and those it received.
struct LargeBlocks {
  using Held = LargeBlock::Held;
  using Blocks = std::vector<std::unique_ptr<Held>>;

  [[nodiscard]] static LargeBlocks& all() noexcept {
    static constinit weft::detail::Immortal<LargeBlocks> instance;
    return instance.value;
  }

  /// The smallest that nobody uses and that is large enough, and not by far too large.
  [[nodiscard]] std::unique_ptr<Held> take_made(std::size_t size) noexcept {
    const std::scoped_lock guard{lock_};
    auto best = made_.end();
    for (auto at = made_.begin(); at != made_.end(); ++at) {
      const std::size_t room = (*at)->room();
      // acquire: its last receiver has read what it wanted before it took its one off.
      if (room < size || room / kLargestWaste > size || (*at)->header().lent.load(std::memory_order_acquire) != 0) continue;
      if (best == made_.end() || room < (*best)->room()) best = at;
    }
    return taken(made_, best);
  }

  [[nodiscard]] std::unique_ptr<Held> take_received(std::uint64_t inode, std::uint64_t tag) noexcept {
    const std::scoped_lock guard{lock_};
    return taken(received_, std::find_if(received_.begin(), received_.end(), [&](const auto& held) {
                   return held->inode == inode && held->header().tag == tag;
                 }));
  }

  void keep(std::unique_ptr<Held> held) noexcept {
    Blocks too_many;  // unmapped outside of the lock
    {
      const std::scoped_lock guard{lock_};
      Blocks& blocks = held->received ? received_ : made_;
      try {
        // First, so that nothing can fail in the middle.
        too_many.reserve(blocks.size() + 1);
        blocks.reserve(LargeBlock::kMostBlocks + 1);
      } catch (const std::bad_alloc&) {
        return;
      }
      held->kept_since = Deadline::now_nanoseconds();
      std::size_t bytes = held->room();
      blocks.push_back(std::move(held));
      std::size_t kept = blocks.size();
      // Newest first, as long as they fit.
      for (std::size_t i = blocks.size() - 1; i-- > 0;) {
        bytes += blocks[i]->room();
        if (bytes > LargeBlock::kMostBytes || kept > LargeBlock::kMostBlocks) {
          bytes -= blocks[i]->room();
          too_many.push_back(std::move(blocks[i]));
          --kept;
        }
      }
      if (blocks.back()->room() > LargeBlock::kMostBytes) too_many.push_back(std::move(blocks.back()));
      std::erase(blocks, nullptr);
    }
  }

  void trim(std::int64_t oldest) noexcept {
    for (;;) {
      std::unique_ptr<Held> old;  // unmapped outside of the lock
      const std::scoped_lock guard{lock_};
      for (Blocks* blocks : {&made_, &received_}) {
        if (!old && !blocks->empty() && blocks->front()->kept_since <= oldest) old = taken(*blocks, blocks->begin());
      }
      if (!old) return;
    }
  }

  void add(Held& held) {
    const std::scoped_lock guard{lock_};
    all_.push_back(&held);
  }
  void remove(Held& held) noexcept {
    const std::scoped_lock guard{lock_};
    std::erase(all_, &held);
  }

  /// In a child of fork(): the parent goes on using them. What the child has of them goes, also of those that were just in use, or their
  /// memory would last as long as the child.
  void forget() noexcept {
    ++generation_now;
    for (Held* held : all_) {
      held->mapping = {};
      held->fd.reset();
    }
    all_.clear();
    made_.clear();
    received_.clear();
  }

  weft::detail::SpinLock lock_;
  Blocks made_;      // guarded by lock_
  Blocks received_;  // guarded by lock_
  std::vector<Held*> all_;  // those in use among them; guarded by lock_

 private:
  static std::unique_ptr<Held> taken(Blocks& blocks, Blocks::iterator at) noexcept {
    if (at == blocks.end()) return nullptr;
    auto held = std::move(*at);
    blocks.erase(at);
    return held;
  }
};

namespace {

weft::detail::ForkHook fork_hook{.before = []() noexcept { LargeBlocks::all().lock_.lock(); },
                                 .after =
                                     [](bool in_child) noexcept {
                                       if (in_child) LargeBlocks::all().forget();
                                       LargeBlocks::all().lock_.unlock();
                                     }};
[[maybe_unused]] const bool fork_is_prepared = (weft::detail::add_fork_hook(fork_hook), true);

}  // namespace

LargeBlock::Held::Held() { LargeBlocks::all().add(*this); }
LargeBlock::Held::~Held() {
  if (is_of_this_process()) LargeBlocks::all().remove(*this);
}

// ---- the sender's side ------------------------------------------------------------------------------------------------

LargeBlock LargeBlock::take(std::size_t size) {
  if (auto held = LargeBlocks::all().take_made(size)) {
    ++held->uses;
    return {std::move(held), size};
  }
  auto held = std::make_unique<Held>();
  const std::size_t whole = kPage + whole_pages(size);
  held->fd = make_memory("weft-large-value", whole, false);
  held->mapping = Mapping{held->fd.get(), whole, kObject};
  held->uses = 1;
  new (&held->header()) Header{.magic = kMagic, .tag = random_tag(), .lent = 0};
  return {std::move(held), size};
}

void LargeBlock::resize(std::size_t size) {
  if (const std::size_t before = held_->mapping.bytes().size(); size > held_->room()) {
    const std::size_t whole = kPage + whole_pages(size);
    reserve_memory(held_->fd.get(), before, whole, kObject);
    held_->mapping.enlarge(whole, kObject);
  }
  size_ = size;
}

int LargeBlock::lend() noexcept {
  held_->header().lent.fetch_add(1, std::memory_order_relaxed);
  return held_->fd.get();
}

void LargeBlock::take_back() noexcept { held_->header().lent.fetch_sub(1, std::memory_order_release); }

void LargeBlock::trim(std::chrono::nanoseconds unused_for) noexcept {
  LargeBlocks::all().trim(Deadline::now_nanoseconds() - unused_for.count());
}

// ---- the receiver's side ----------------------------------------------------------------------------------------------

LargeBlock LargeBlock::receive(OwnedFd fd, std::size_t size) {
  struct stat about {};
  if (::fstat(fd.get(), &about) != 0) throw OSError{errno, "receiving a large value"};
  const auto whole = static_cast<std::size_t>(about.st_size);
  std::uint64_t front[2] = {};  // magic and tag
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || whole < kPage || size > whole - kPage || ::pread(fd.get(), front, sizeof front, 0) != sizeof front || front[0] != kMagic)
    throw ProtocolError{"receiving a large value of " + std::to_string(size) + " bytes: what came is no block that holds so much"};
  const std::uint64_t inode = about.st_ino;
  auto held = LargeBlocks::all().take_received(inode, front[1]);
  // Kept mapped, it cannot have become another's; but its sender may have made it larger since.
  if (!held || held->mapping.bytes().size() != whole) {
    held = std::make_unique<Held>();
    held->mapping = Mapping{fd.get(), whole, kObject};
    held->inode = inode;
    held->received = true;
  }
  if (++held->uses <= kUsesByKernel) held->fd = std::move(fd);
  return {std::move(held), size};
}

// ---- both -------------------------------------------------------------------------------------------------------------

LargeBlock::LargeBlock() noexcept = default;
LargeBlock::LargeBlock(std::unique_ptr<Held> held, std::size_t size) noexcept : held_{std::move(held)}, size_{size} {}
LargeBlock::LargeBlock(LargeBlock&& other) noexcept = default;

LargeBlock& LargeBlock::operator=(LargeBlock&& other) noexcept {
  if (this != &other) {
    let_go();
    held_ = std::move(other.held_);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

LargeBlock::~LargeBlock() { let_go(); }

void LargeBlock::let_go() noexcept {
  if (!held_) return;
  if (!held_->is_of_this_process()) {
    held_.reset();
    return;
  }
  if (held_->received) {
    held_->fd.reset();  // the mapping is enough; the next message brings one anyway
    // From here on the sender may write.
    held_->header().lent.fetch_sub(1, std::memory_order_release);
  }
  LargeBlocks::all().keep(std::move(held_));
}

std::span<std::byte> LargeBlock::bytes() const noexcept {
  return held_ ? std::span<std::byte>{held_->payload(), size_} : std::span<std::byte>{};
}

void LargeBlock::write(std::size_t offset, std::span<const std::byte> bytes) {
  if (!held_->kernel_copies(bytes.size())) {
    if (!bytes.empty()) std::memcpy(held_->payload() + offset, bytes.data(), bytes.size());
    return;
  }
  while (!bytes.empty()) {
    const auto done = ::pwrite(held_->fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(kPage + offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) throw OSError{done < 0 ? errno : ENOSPC, "writing a large value"};
    bytes = bytes.subspan(static_cast<std::size_t>(done));
    offset += static_cast<std::size_t>(done);
  }
}

void LargeBlock::read(std::size_t offset, void* to, std::size_t size) const {
  if (!held_->kernel_copies(size)) {
    if (size != 0) std::memcpy(to, held_->payload() + offset, size);
    return;
  }
  auto* next = static_cast<std::byte*>(to);
  while (size > 0) {
    const auto done = ::pread(held_->fd.get(), next, size, static_cast<off_t>(kPage + offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) throw OSError{done < 0 ? errno : EIO, "reading a large value"};
    next += done;
    offset += static_cast<std::size_t>(done);
    size -= static_cast<std::size_t>(done);
  }
}

}  // namespace weft::process::detail
