#include "engine/stack_pool.hpp"

#include <algorithm>
#include <utility>

#include <weft/base/error.hpp>

namespace weft::detail {

namespace {

constexpr std::size_t kFirstSlab = 64;      // 16 MiB of address space at the default size
constexpr std::size_t kLargestSlab = 32768;  // 8 GiB: a million stacks are some forty mappings
constexpr std::size_t kGuardBatch = 32;
constexpr std::size_t kAlwaysWarm = 64;

}  // namespace

std::size_t whole_stack_pages(std::size_t bytes) noexcept {
  const std::size_t page = port::page_bytes();
  return std::max((bytes + page - 1) / page * page, 4 * page);  // guard, control data, and something to run on
}

StackPool::~StackPool() {
  for (const Slab& slab : slabs_) port::unmap_stacks(slab);
}

std::size_t StackPool::acquire(Stack* stacks, std::size_t most) {
  const std::lock_guard guard{lock_};
  std::size_t count = 0;
  while (count < most && !warm_.empty()) {
    stacks[count++] = warm_.back();
    warm_.pop_back();
  }
  least_warm_ = std::min(least_warm_, warm_.size());
  if (count > 0) return count;
  if (cold_ > 0) {
    for (Slab& slab : slabs_) {
      while (count < most && !slab.cold.empty()) {
        stacks[count++] = slab.cold.back();
        slab.cold.pop_back();
        --cold_;
      }
    }
    return count;
  }
  Slab& slab = slab_to_cut();
  if (slab.cut + most > slab.guarded) port::guard_stacks(slab, slab.cut + std::max(most, kGuardBatch));
  while (count < most && slab.cut < slab.count) stacks[count++] = slab.stack(slab.cut++);
  return count;
}

StackPool::Slab& StackPool::slab_to_cut() {
  if (!slabs_.empty() && slabs_.back().cut < slabs_.back().count) return slabs_.back();
  std::size_t count = slabs_.empty() ? kFirstSlab : std::min(slabs_.back().count * 2, kLargestSlab);
  port::StackSlab mapped;
  // Under a limit on address space a smaller slab may still fit.
  while (!(mapped = port::map_stacks(stack_bytes_, count)).memory) {
    if (count == 1) {
      throw OSError{ENOMEM, "reserve address space for a fiber stack of", std::to_string(stack_bytes_) + " bytes"};
    }
    count /= 2;
  }
  slabs_.push_back(Slab{mapped, 0, {}});
  return slabs_.back();
}

void StackPool::release(const Stack* stacks, std::size_t count) noexcept {
  const std::lock_guard guard{lock_};
  warm_.insert(warm_.end(), stacks, stacks + count);
}

StackPool::Slab* StackPool::slab_of(const std::byte* address) noexcept {
  for (Slab& slab : slabs_) {
    if (slab.contains(address)) return &slab;
  }
  return nullptr;
}

void StackPool::trim() noexcept {
  std::vector<Stack> surplus;
  {
    const std::lock_guard guard{lock_};
    const std::size_t idle = std::exchange(least_warm_, warm_.size());
    if (idle <= kAlwaysWarm) return;
    const std::size_t count = (idle - kAlwaysWarm + 1) / 2;
    // The coldest are at the front.
    const auto end = warm_.begin() + static_cast<std::ptrdiff_t>(count);
    surplus.assign(warm_.begin(), end);
    warm_.erase(warm_.begin(), end);
    least_warm_ = warm_.size();
  }
  for (Stack stack : surplus) port::discard(stack.bottom + port::page_bytes(), stack.bytes - port::page_bytes());
  cool(surplus);
}

void StackPool::cool(std::vector<Stack>& stacks) noexcept {
  const std::lock_guard guard{lock_};
  for (Stack stack : stacks) {
    Slab& slab = *slab_of(stack.bottom);
    slab.cold.push_back(stack);
    ++cold_;
  }
  // The last slab stays, to be cut on. Page tables go with the others.
  for (std::size_t i = 0; i + 1 < slabs_.size();) {
    if (slabs_[i].cold.size() < slabs_[i].count) {
      ++i;
      continue;
    }
    cold_ -= slabs_[i].count;
    port::unmap_stacks(slabs_[i]);
    slabs_.erase(slabs_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

bool StackPool::guards(const void* address, Stack& stack) noexcept {
  // Asked by a thread that is about to die: if the lock is taken, by that very thread perhaps, do without.
  if (!lock_.try_lock()) return false;
  const std::lock_guard guard{lock_, std::adopt_lock};
  const Slab* slab = slab_of(static_cast<const std::byte*>(address));
  if (!slab) return false;
  const auto offset = static_cast<std::size_t>(static_cast<const std::byte*>(address) - slab->memory);
  stack = slab->stack(offset / slab->stack_bytes);
  return offset % slab->stack_bytes < port::page_bytes();
}

}  // namespace weft::detail
