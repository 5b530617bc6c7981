#include "process/worker_process.hpp"

#include <utility>

#include <weft/process/process.hpp>

#include "process/pool_worker.hpp"

namespace weft::detail {

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
int WorkerProcess::sentinel() const noexcept { return held_->process.sentinel(); }
std::optional<int> WorkerProcess::exit_code() { return held_->process.exitcode(); }
void WorkerProcess::kill() noexcept { held_->process.kill(); }

}  // namespace weft::detail
