#include "process/pool/worker_process.hpp"

#include <utility>

#include <weft/base/error.hpp>
#include <weft/process/process.hpp>

#include "process/pool/pool_worker.hpp"

namespace weft::detail {

namespace {

constexpr int kUnknownExit = 255;

}  // namespace

struct WorkerProcess::Held {
  Process process;
};

WorkerProcess::WorkerProcess(StartMethod method, PoolSeat seat) : held_{std::make_unique<Held>()} {
  std::string name = seat.name;
  held_->process = Process{method, &serve_pool, std::move(seat)};
  // A daemon: it ends with this process, however that ends.
  held_->process.set_name(std::move(name)).set_daemon(true).start();
}

WorkerProcess::~WorkerProcess() = default;

int WorkerProcess::pid() const noexcept { return held_->process.pid(); }

// active_children() gives handles of workers to anybody, who may close() one that has ended.
int WorkerProcess::sentinel() const noexcept {
  try {
    return held_->process.sentinel();
  } catch (const InvalidStateError&) {
    return -1;
  }
}

std::optional<int> WorkerProcess::exit_code() noexcept {
  try {
    return held_->process.exitcode();
  } catch (const InvalidStateError&) {
    return kUnknownExit;
  }
}

void WorkerProcess::kill() noexcept {
  try {
    held_->process.kill();
  } catch (...) {
    // It is another user's now, whom this one may not kill, or somebody has closed the handle of one that has ended.
  }
}

}  // namespace weft::detail
