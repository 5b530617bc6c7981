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
  // Never refused: not cancellable.
  (void)arm(self, entry, Cancellable::No);
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
  (void)park(self, WaitKind::Blocking, nullptr, Deadline::never());
  if (failure) std::rethrow_exception(std::move(failure));
}

}  // namespace weft::detail
