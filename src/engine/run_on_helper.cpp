#include <weft/detail/helper.hpp>

#include <exception>

#include <weft/detail/context.hpp>

#include "engine/helper_pool.hpp"

namespace weft::detail {

bool must_leave_worker() noexcept { return current_context().is_fiber(); }

void run_on_helper(UniqueFunction<void()> job) {
  Context& self = current_context();
  check_cancelled(self);
  Entry entry;
  std::exception_ptr failure;
  // Never refused: not interruptible.
  (void)arm(self, entry, Interruptible::No);
  try {
    blocking_helpers().submit([&] {
      try {
        job();
      } catch (...) {
        failure = std::current_exception();
      }
      // The caller stays parked until delivered, so that entry, job and failure outlive this.
      if (claim(entry, kFired)) deliver(entry);
    });
  } catch (...) {
    (void)disarm(self);
    throw;
  }
  (void)park(self, {.kind = WaitKind::Blocking}, Deadline::never());
  if (failure) std::rethrow_exception(std::move(failure));
}

}  // namespace weft::detail
