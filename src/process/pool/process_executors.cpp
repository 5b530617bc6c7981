#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/process/pool.hpp>
#include <weft/process/process_pool_executor.hpp>
#include <weft/sync/scope.hpp>

#include "engine/scheduler.hpp"
#include "process/pool/pool_link.hpp"

namespace weft {

unsigned detail::usual_processes() noexcept { return default_workers(); }

namespace {

// 0: as many as there are processors, but no fewer than there always are.
unsigned most_of(unsigned most, unsigned least, const char* whose) {
  constexpr unsigned kMostWorkers = 1U << 16;
  if (std::max(most, least) > kMostWorkers) {
    throw std::invalid_argument{std::string{"making a "} + whose + " of " + std::to_string(std::max(most, least)) +
                                " workers: more than 65536 cannot be meant; has a negative number become an unsigned one?"};
  }
  if (most == 0) return std::max(detail::usual_processes(), least);
  if (least > most) {
    throw InvalidStateError{std::string{"making a "} + whose + " of at least " + std::to_string(least) + " and at most " +
                            std::to_string(most) + " workers: there is no such number; make the minimum smaller, or the maximum larger"};
  }
  return most;
}

}  // namespace

ProcessPoolExecutor::ProcessPoolExecutor(Config config)
    : core_{detail::make_process_pool({.kind = "ProcessPoolExecutor",
                                       .most_workers = most_of(config.max_workers, config.min_workers, "ProcessPoolExecutor"),
                                       .least_workers = config.min_workers,
                                       .workers_start_processes = true,
                                       .idle_timeout = config.idle_timeout,
                                       .name = std::move(config.name),
                                       .method = config.start_method,
                                       .initializer = std::move(config.initializer),
                                       .tasks_per_worker = config.max_tasks_per_child,
                                       .limit = config.task_timeout,
                                       .retries = config.retries,
                                       .most_pending = config.max_pending})} {}

namespace process {

Pool::Pool(Config config) : Pool{most_of(config.processes, config.min_processes.value_or(0), "Pool"), std::move(config)} {}

Pool::Pool(unsigned most, Config&& config)
    : core_{weft::detail::make_process_pool({.kind = "Pool",
                                             .most_workers = most,
                                             .least_workers = config.min_processes.value_or(most),
                                             .workers_start_processes = false,
                                             .idle_timeout = config.idle_timeout,
                                             .name = std::move(config.name),
                                             .method = config.start_method,
                                             .initializer = std::move(config.initializer),
                                             .tasks_per_worker = config.max_tasks_per_child,
                                             .limit = config.task_timeout,
                                             .retries = config.retries,
                                             .most_pending = 0})} {}

Pool::~Pool() {
  const Shield shield;
  core_->terminate(true);
}

bool Pool::join_until(Deadline deadline) {
  if (!core_->is_closed()) throw InvalidStateError{"join of a Pool that still takes work: call close() or terminate() first"};
  return core_->wait_for_end(deadline);
}

MapOptions Pool::bounded(MapOptions options) const noexcept {
  if (options.look_ahead == 0) options.look_ahead = 4 * core_->most_workers();
  if (options.chunk_size == 0) options.chunk_size = 1;
  return options;
}

// Four a worker, so that the last ones even out; but small enough to stay in a processor's cache.
std::size_t Pool::chunk_for(std::size_t elements, std::size_t element_bytes) const noexcept {
  const std::size_t share = elements / (4 * core_->most_workers()) + 1;
  return std::clamp<std::size_t>(share, 1, std::max<std::size_t>(1, weft::detail::kAreaBytes / 4 / element_bytes));
}

}  // namespace process

}  // namespace weft
