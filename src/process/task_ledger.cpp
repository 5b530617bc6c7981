#include "process/task_ledger.hpp"

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
    entry.taken.store(0, std::memory_order_relaxed);
    entry.done.store(0, std::memory_order_relaxed);
    return &entry;
  }
  return nullptr;
}

void TaskLedger::note_taken() noexcept {
  Entry* entry = own_entry();
  if (!entry) {
    entry = free_entry();
    if (!entry) return incomplete_.store(1, std::memory_order_release);
    entry->who.store(this_process_stamp(), std::memory_order_release);
  }
  entry->taken.fetch_add(1, std::memory_order_release);
}

void TaskLedger::note_done() noexcept {
  if (Entry* const entry = own_entry()) entry->done.fetch_add(1, std::memory_order_release);
}

}  // namespace weft::process::detail
