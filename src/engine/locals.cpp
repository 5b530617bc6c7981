#include "engine/locals.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include <weft/base/error.hpp>

#include "engine/spin_lock.hpp"

namespace weft::detail {

struct LocalRecord {
  std::uint32_t index = 0;
  // Guarded by lock_of() this record:
  std::uint64_t serial = 0;  // of the Local that has it; 0: none
  LocalValue* values = nullptr;
  // Guarded by records_lock:
  LocalRecord* next_free = nullptr;
};

namespace {

constexpr int kMostRounds = 4;  // as many as POSIX threads make for their keys

SpinLock records_lock;
LocalRecord* free_records = nullptr;   // guarded by records_lock, as the next two
std::uint32_t records_made = 0;
std::uint64_t serials_given = 0;

// One lock for some of the records: fork() has to take all of them.
struct alignas(64) Stripe {
  SpinLock lock;
};
Stripe stripes[16];

SpinLock& lock_of(const LocalRecord& record) noexcept { return stripes[record.index % std::size(stripes)].lock; }

// The next two under lock_of(record).
void link(LocalRecord& record, LocalValue& value) noexcept {
  value.linked = true;
  value.previous = nullptr;
  value.next = record.values;
  if (value.next) value.next->previous = &value;
  record.values = &value;
}

void unlink(LocalRecord& record, LocalValue& value) noexcept {
  value.linked = false;
  (value.previous ? value.previous->next : record.values) = value.next;
  if (value.next) value.next->previous = value.previous;
}

/// Whether the caller is now the one to destroy it. The value exists only while its Local does: `serial` says which.
bool take_over(LocalRecord& record, std::uint64_t serial, LocalValue& value) noexcept {
  const std::lock_guard guard{lock_of(record)};
  if (record.serial != serial || !value.linked) return false;
  unlink(record, value);
  return true;
}

LocalRecord& take_record(std::uint64_t& serial) {
  {
    const std::lock_guard guard{records_lock};
    serial = ++serials_given;
    if (LocalRecord* free = free_records) {
      free_records = free->next_free;
      return *free;
    }
  }
  auto* record = new LocalRecord;
  const std::lock_guard guard{records_lock};
  record->index = records_made++;
  return *record;
}

}  // namespace

// ---- a Local ---------------------------------------------------------------------------------------------------------

LocalKey open_local() {
  LocalKey key;
  key.record = &take_record(key.serial);
  key.index = key.record->index;
  const std::lock_guard guard{lock_of(*key.record)};
  key.record->serial = key.serial;
  return key;
}

void close_local(LocalKey& key) noexcept {
  key.serial = LocalKey::kClosed;
  LocalValue* values = nullptr;
  {
    const std::lock_guard guard{lock_of(*key.record)};
    key.record->serial = 0;
    values = std::exchange(key.record->values, nullptr);
  }
  {
    const std::lock_guard guard{records_lock};
    key.record->next_free = free_records;
    free_records = key.record;
  }
  // What other contexts' tables have of it is not looked at any more, as the serial number does not come again.
  while (values) {
    LocalValue* value = values;
    values = value->next;
    if (value->process == this_process()) delete value;
  }
}

// ---- a context's table -----------------------------------------------------------------------------------------------

void LocalTable::keep(const LocalKey& key, LocalValue& value) {
  if (key.index >= size_) {
    const std::uint32_t wanted = std::max(key.index + 1, std::max(std::uint32_t{4}, 2 * size_));
    auto larger = std::make_unique<Slot[]>(wanted);
    std::copy_n(slots_.get(), size_, larger.get());
    slots_ = std::move(larger);
    size_ = wanted;
  }
  value.process = this_process();
  {
    const std::lock_guard guard{lock_of(*key.record)};
    if (key.record->serial == key.serial) link(*key.record, value);
  }
  if (!value.linked) throw InvalidStateError{"a Local was used after its end, or by a destructor that its end called"};
  slots_[key.index] = {key.serial, &value, key.record, ++made_};
}

bool LocalTable::drop(const LocalKey& key) noexcept {
  LocalValue* value = find(key);
  if (!value || !take_over(*key.record, key.serial, *value)) return false;
  delete value;
  // Its destructor may have made the table grow, and even used a later Local in this place.
  Slot& slot = slots_[key.index];
  if (slot.serial == key.serial) slot = {};
  return true;
}

LocalTable::Slot* LocalTable::youngest(std::uint64_t made_before) noexcept {
  Slot* found = nullptr;
  for (std::uint32_t i = 0; i < size_; ++i) {
    Slot& slot = slots_[i];
    if (slot.serial != 0 && slot.made < made_before && (!found || slot.made > found->made)) found = &slot;
  }
  return found;
}

void LocalTable::drop_all() noexcept {
  for (int round = 0; round < kMostRounds; ++round) {
    std::uint64_t before = made_ + 1;
    bool any = false;
    while (Slot* slot = youngest(before)) {
      before = slot->made;
      any = true;
      drop({slot->record, static_cast<std::uint32_t>(slot - slots_.get()), slot->serial});
    }
    if (!any) return;
  }
}

void LocalTable::move_to_this_process() noexcept {
  for (std::uint32_t i = 0; i < size_; ++i) {
    const Slot& slot = slots_[i];
    if (slot.serial != 0 && slot.record->serial == slot.serial) slot.value->process = this_process();
  }
}

// ---- the calling context ---------------------------------------------------------------------------------------------

LocalValue& keep_local(const LocalKey& key, std::unique_ptr<LocalValue> value) {
  Context& self = current_context();
  if (!self.locals) self.locals = new LocalTable;
  if (LocalValue* earlier = self.locals->find(key)) return *earlier;
  self.locals->keep(key, *value);
  return *value.release();
}

bool drop_local(const LocalKey& key) noexcept {
  LocalTable* table = current_context().locals;
  return table && table->drop(key);
}

void end_locals(Context& self) noexcept {
  ++self.shields;  // an interruption would have to throw out of a destructor
  self.locals->drop_all();
  delete std::exchange(self.locals, nullptr);
  --self.shields;
}

// ---- fork ------------------------------------------------------------------------------------------------------------

void inherit_locals(Context& heir, Context& former) noexcept {
  heir.locals = std::exchange(former.locals, nullptr);
  if (heir.locals) heir.locals->move_to_this_process();
}

void lock_locals_for_fork() noexcept {
  records_lock.lock();
  for (Stripe& stripe : stripes) stripe.lock.lock();
}

void unlock_locals_after_fork() noexcept {
  for (Stripe& stripe : stripes) stripe.lock.unlock();
  records_lock.unlock();
}

}  // namespace weft::detail
