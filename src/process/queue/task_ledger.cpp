#include "process/queue/task_ledger.hpp"

namespace weft::process::detail {

TaskLedger::Entry* TaskLedger::own_entry() noexcept {
  const ProcessStamp own = this_process_stamp();
  for (Entry& entry : entries_)
    if (entry.who.load(std::memory_order_relaxed) == own) return &entry;
  return nullptr;
}

// Of a dead process, if need be. Under the lock of the taking side: nobody else looks for one.
TaskLedger::Entry* TaskLedger::free_entry() noexcept {
  for (Entry& entry : entries_)
    if (entry.who.load(std::memory_order_relaxed) == 0) return &entry;
  for (Entry& entry : entries_) {
    if (!process_is_gone(entry.who.load(std::memory_order_relaxed))) continue;
    if (entry.has_any()) lost_.store(1, std::memory_order_release);
    entry.who.store(0, std::memory_order_release);
    return &entry;
  }
  incomplete_.store(1, std::memory_order_release);
  return nullptr;
}

void TaskLedger::note_taken() noexcept {
  if (incomplete_.load(std::memory_order_relaxed)) return;
  Entry* entry = own_entry();
  if (!entry) {
    entry = free_entry();
    if (!entry) return;
    // Of whoever had it before, or was killed as he made it his.
    entry->taken.store(0, std::memory_order_relaxed);
    entry->done.store(0, std::memory_order_relaxed);
    entry->who.store(this_process_stamp(), std::memory_order_release);
  }
  entry->taken.fetch_add(1, std::memory_order_release);
}

// Never more than it has taken: what it says in another's place must not hide what it takes later.
void TaskLedger::note_done() noexcept {
  Entry* const entry = own_entry();
  if (!entry) return;
  std::uint64_t done = entry->done.load(std::memory_order_relaxed);
  while (done < entry->taken.load(std::memory_order_relaxed) &&
         !entry->done.compare_exchange_weak(done, done + 1, std::memory_order_release, std::memory_order_relaxed)) {
  }
}

}  // namespace weft::process::detail
