#include "futures/roster.hpp"

#include <pthread.h>

#include <cstdio>
#include <mutex>
#include <utility>

#include "engine/spin_lock.hpp"

namespace weft::detail {

namespace {

SpinLock free_lock;
Roster* free_rosters = nullptr;  // guarded by free_lock

[[maybe_unused]] const bool whole_after_fork =
    ::pthread_atfork([] { free_lock.lock(); }, [] { free_lock.unlock(); }, [] { free_lock.unlock(); }) == 0;

}  // namespace

Roster& Roster::take(const char* kind, const std::string& name, unsigned most) {
  Roster* roster = nullptr;
  {
    const std::lock_guard guard{free_lock};
    if (free_rosters) roster = std::exchange(free_rosters, free_rosters->next_free_);
  }
  if (!roster) roster = new Roster;
  roster->kind_.store(kind, std::memory_order_relaxed);
  roster->name_.set(name);
  roster->most_.store(most, std::memory_order_relaxed);
  return *roster;
}

void Roster::give_back(Roster& roster) noexcept {
  for (auto& id : roster.ids_) id.store(0, std::memory_order_relaxed);
  const std::lock_guard guard{free_lock};
  roster.next_free_ = std::exchange(free_rosters, &roster);
}

// The orders here and below: whoever reads does so again before he believes it.
void Roster::sign_in(std::uint64_t id) noexcept {
  if (most_.load(std::memory_order_relaxed) > kMost) return;
  for (auto& place : ids_) {
    std::uint64_t nobody = 0;
    if (place.compare_exchange_strong(nobody, id, std::memory_order_relaxed)) return;
  }
}

void Roster::sign_out(std::uint64_t id) noexcept {
  for (auto& place : ids_) {
    if (place.load(std::memory_order_relaxed) != id) continue;
    place.store(0, std::memory_order_relaxed);
    return;
  }
}

std::size_t Roster::workers(std::uint64_t* ids, std::size_t most) const noexcept {
  const unsigned expected = most_.load(std::memory_order_relaxed);
  if (expected == 0 || expected > kMost || expected > most) return 0;
  std::size_t found = 0;
  for (const auto& place : ids_) {
    const std::uint64_t id = place.load(std::memory_order_relaxed);
    if (id == 0) continue;
    if (found == most) return 0;
    ids[found++] = id;
  }
  return found == expected ? found : 0;
}

void Roster::explain(char* text, std::size_t room) const noexcept {
  char name[ContextName::kMost + 1];
  name_.copy_to(name);
  const unsigned most = most_.load(std::memory_order_relaxed);
  std::snprintf(text, room, " in line at %s \"%s\" (%u worker%s)", kind_.load(std::memory_order_relaxed), name, most,
                most == 1 ? "" : "s");
}

}  // namespace weft::detail
