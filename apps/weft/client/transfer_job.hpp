#pragma once

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/endpoint.hpp"
#include "client/open_sockets.hpp"
#include "client/options.hpp"
#include "client/report.hpp"
#include "client/work_list.hpp"
#include "weft/fiber/fiber.hpp"
#include "weft/fiber/spawn.hpp"
#include "weft/sync/event.hpp"

namespace weft::app {

/// What a transfer over several connections has in either direction: one fiber finds out what there is to transfer,
/// workers take from a common list, each with a connection of its own.
///
/// Thread-safety: what is public, from any thread; the rest is the finding fiber's.
template <class Item>
class TransferJob {
 public:
  TransferJob(const Endpoint& endpoint, const ClientOptions& client_options, Report& user_report)
      : server(endpoint), options(client_options), report(user_report) {}
  TransferJob(const TransferJob&) = delete;
  TransferJob& operator=(const TransferJob&) = delete;

  /// Ends everything at once; what was not finished can be resumed.
  void stop() {
    stopped.set();
    work.stop();
    sockets.close_all();
  }

  const Endpoint& server;
  const ClientOptions& options;
  Report& report;
  WorkList<Item> work;
  OpenSockets sockets;
  Event stopped;
  std::atomic<bool> has_connected{false};
  std::atomic<int> connections{0};

 protected:
  /// Adds to the list, and a worker (`work_it()` on a fiber) as long as there is work for one more.
  template <class Work>
  void add(Item item, std::uint64_t bytes, Work work_it) {
    report.progress().files_known.fetch_add(1, std::memory_order_relaxed);
    report.progress().bytes_known.fetch_add(bytes, std::memory_order_relaxed);
    work.add(std::move(item));
    if (workers_.size() < options.jobs && (workers_.empty() || work.size() > 0)) {
      workers_.push_back(spawn(std::move(work_it)));
    }
  }
  /// Nothing more is added. Waits until all workers have ended. What they left is reported: every connection was given up.
  void finish() {
    work.finish_adding();
    for (Fiber<void>& worker : workers_) worker.get();
    const bool is_complete = work.take_rest().empty();
    if (!is_complete && !stopped.is_set())
      report.give_up(ExitCode::Unreachable, "not all files were transferred");
  }

 private:
  std::vector<Fiber<void>> workers_;
};

}  // namespace weft::app
