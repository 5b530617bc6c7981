#include "process/deadlock/far_holders.hpp"

#include <weft/detail/remote_task.hpp>

#include "process/pool/process_pool.hpp"
#include "process/start/process_state.hpp"
#include "process/sync/shared_lock.hpp"

namespace weft::process::detail {

using weft::detail::Explained;
using weft::detail::FarHolder;
using weft::detail::ProcessPool;
using weft::detail::RemoteTask;
using weft::detail::Wait;
using weft::detail::WaitKind;

namespace {

/// Its number is enough: whoever waits for it sees to it that no other process can have it meanwhile.
FarHolder end_of(int pid) noexcept { return {static_cast<std::uint64_t>(static_cast<unsigned>(pid)) << kStampPidShift, 0}; }

// What a worker has to do for a task is an act of the task, or its process's end.
std::vector<FarHolder> ends_of(const std::vector<int>& workers) {
  std::vector<FarHolder> holders;
  for (const int pid : workers) holders.push_back(end_of(pid));
  if (holders.empty()) holders.push_back(kNobodyYet);
  return holders;
}

}  // namespace

std::vector<FarHolder> far_holders_of(const Wait& wait) {
  if (wait.holders == &SharedLockWord::holders) {
    const FarHolder holder = static_cast<const SharedLockWord*>(wait.object)->far_holder();
    return holder.process == 0 ? std::vector<FarHolder>{} : std::vector{holder};
  }
  if (wait.kind == WaitKind::Process) return {end_of(static_cast<const weft::detail::ProcessState*>(wait.object)->plain_pid())};
  if (wait.kind == WaitKind::Future) {
    const auto* const task = dynamic_cast<const RemoteTask*>(static_cast<const Explained*>(wait.object));
    return task ? ends_of(task->core->workers_needed(*task)) : std::vector<FarHolder>{};
  }
  if (wait.kind == WaitKind::Room || wait.kind == WaitKind::Work) {
    const auto* const aim = dynamic_cast<const ProcessPool::Aim*>(static_cast<const Explained*>(wait.object));
    return aim ? ends_of(aim->workers_needed()) : std::vector<FarHolder>{};
  }
  return {};
}

}  // namespace weft::process::detail
