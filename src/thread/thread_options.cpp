#include "thread/thread_options.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

namespace weft::detail {

namespace {

const char* name_of(int policy) {
  switch (policy) {
    case SCHED_BATCH: return "batch";
    case SCHED_IDLE: return "idle";
    case SCHED_FIFO: return "fifo";
    case SCHED_RR: return "round robin";
    default: return "other";
  }
}

}  // namespace

Refusal apply_scheduling(const ThreadOptions& options) {
  if (options.cpus && ::sched_setaffinity(0, sizeof *options.cpus, &*options.cpus) != 0) {
    return {errno, "choose the processors of"};
  }
  // On Linux a nice value is a thread's own.
  if (options.nice && ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), *options.nice) != 0) {
    return {errno, "set nice value " + std::to_string(*options.nice) + " of"};
  }
  if (options.policy) {
    const sched_param parameter{.sched_priority = options.priority};
    if (::sched_setscheduler(0, *options.policy, &parameter) != 0) {
      return {errno, std::string{"set scheduling policy "} + name_of(*options.policy) + ", priority " +
                         std::to_string(options.priority) + ", of"};
    }
  }
  return {};
}

}  // namespace weft::detail
