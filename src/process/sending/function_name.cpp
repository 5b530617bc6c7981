#include "process/sending/function_name.hpp"

#include <atomic>
#include <cstdint>

#include "engine/symbols.hpp"
#include "port/debug_info.hpp"

namespace weft::detail {

namespace {

struct Named {
  std::uintptr_t address;
  std::string name;
  const Named* next;
};

/// Those that were asked for. Only ever longer, so that it is read without a lock, which a child of fork() could find held.
std::atomic<const Named*> known{nullptr};

std::string look_up(std::uintptr_t address) {
  const port::DebugInfo debug_info;
  const std::string name = debug_info.function_of(address);
  return name.empty() ? symbol(address) : name;
}

}  // namespace

std::string function_name(void (*function)()) {
  const auto address = reinterpret_cast<std::uintptr_t>(function);
  for (const Named* named = known.load(std::memory_order_acquire); named; named = named->next) {
    if (named->address == address) return named->name;
  }
  auto* const named = new Named{address, look_up(address), known.load(std::memory_order_relaxed)};
  // Release: whoever finds it sees what it holds.
  while (!known.compare_exchange_weak(named->next, named, std::memory_order_release, std::memory_order_relaxed)) {
  }
  return named->name;
}

}  // namespace weft::detail
