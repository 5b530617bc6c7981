#include <weft/fiber/runtime.hpp>

#include <weft/detail/helper.hpp>

#include "engine/scheduler.hpp"

namespace weft {

namespace {

detail::Scheduler::Settings settings_of(Runtime::Config config) {
  detail::Scheduler::Settings settings;
  settings.workers = config.workers == 0 ? detail::default_workers() : config.workers;
  settings.stack_bytes = config.stack_bytes;
  settings.name = std::move(config.name);
  settings.driven = settings.workers == 1;
  settings.migrate_always = config.migrate_always;
  return settings;
}

}  // namespace

Runtime::Runtime() : Runtime{Config{}} {}
Runtime::Runtime(Config config)
    : scheduler_{std::make_unique<detail::Scheduler>(settings_of(std::move(config)))} {}
Runtime::~Runtime() = default;

unsigned Runtime::workers() const noexcept { return scheduler_->settings().workers; }

void Runtime::drive(detail::Task& task) {
  const bool inside = detail::current_context().is_fiber() && &detail::current_scheduler() == scheduler_.get();
  if (scheduler_->settings().driven && !inside) {
    if (detail::must_leave_worker()) {
      // A fiber of another runtime lends a helper thread: its own has a worker already.
      detail::run_on_helper([&] { drive_from_thread(task); });
    } else {
      drive_from_thread(task);
    }
  }
  (void)task.join_until(Deadline::never());
}

void Runtime::drive_from_thread(detail::Task& task) {
  // If another thread is driving, it runs this fiber too, and may leave before it is done: then it is our turn.
  while (!task.done() && !scheduler_->drive(task)) {
    if (task.join_until(Deadline::after(std::chrono::milliseconds{1}))) break;
  }
}

}  // namespace weft
