#include <weft/io/blocking.hpp>

#include <weft/detail/context.hpp>
#include <weft/fiber/this_fiber.hpp>

#include "engine/helper_pool.hpp"

namespace weft::detail {

bool must_leave_worker() noexcept { return current_context().is_fiber(); }

void run_on_helper(UniqueFunction<void()> job) {
  check_cancelled();
  Context& self = current_context();
  Entry entry;
  // Never refused: not cancellable.
  (void)arm(self, entry, Cancellable::No);
  try {
    blocking_helpers().submit([&] {
      job();
      // The caller stays parked until delivered, so that entry and job outlive this.
      if (claim(entry, kFired)) deliver(entry);
    });
  } catch (...) {
    (void)disarm(self);
    throw;
  }
  (void)park(self, WaitKind::Blocking, nullptr, Deadline::never());
}

}  // namespace weft::detail
