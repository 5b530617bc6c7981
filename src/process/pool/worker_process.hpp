#pragma once

#include <memory>
#include <optional>

#include <weft/process/start_method.hpp>

#include "process/pool/pool_link.hpp"

namespace weft::detail {

/// The process of a pool's worker, seen from the pool.
class WorkerProcess {
 public:
  /// Throws: OSError; InvalidStateError when this process may have no children.
  WorkerProcess(StartMethod method, PoolSeat seat);
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;
  ~WorkerProcess();

  [[nodiscard]] int pid() const noexcept;
  /// Readable when it has ended. -1: it has ended, and somebody has closed its handle.
  [[nodiscard]] int sentinel() const noexcept;
  /// How it ended: an exit code, or the negative number of a signal. Nothing while it runs.
  [[nodiscard]] std::optional<int> exit_code() noexcept;
  /// If this process may.
  void kill() noexcept;

 private:
  struct Held;
  std::unique_ptr<Held> held_;
};

}  // namespace weft::detail
