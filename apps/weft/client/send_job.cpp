#include "client/send_job.hpp"

#include "client/send_worker.hpp"
#include "proto/names.hpp"
#include "weft/fiber/spawn.hpp"

namespace weft::app {

SendJob::SendJob(const Endpoint& target_endpoint, const ClientOptions& client_options, Report& user_report)
    : target(target_endpoint), options(client_options), report(user_report) {}

void SendJob::run(const std::vector<std::string>& paths, const std::string& as) {
  find_files(paths, as);
  work.finish_adding();
  for (Fiber<void>& worker : workers_) worker.get();
  // Nobody took these: every connection was given up.
  const std::size_t rest = work.take_rest().size();
  if (rest > 0 && !stopped.is_set()) report.give_up(ExitCode::Unreachable, "not all files were sent");
}

void SendJob::stop() {
  stopped.set();
  work.stop();
  sockets.close_all();
}

void SendJob::find_files(const std::vector<std::string>& paths, const std::string& as) {
  WalkVisitor visitor;
  visitor.found = [&](LocalFile file) {
    if (!as.empty()) file.name = join_names(target.name, as);
    add(std::move(file));
    return !work.is_stopped();
  };
  visitor.failed = [&](const std::string& path, Code code, const std::string& why) {
    report.file_failed(path, code, why);
  };
  visitor.skipped = [&](const std::string& path, const std::string& why) {
    report.note(path + ": " + why + ", left out");
  };
  for (const std::string& path : paths) {
    if (!work.is_stopped()) walk(path, target.name, visitor);
  }
}

void SendJob::add(LocalFile file) {
  report.progress().files_known.fetch_add(1, std::memory_order_relaxed);
  report.progress().bytes_known.fetch_add(file.size, std::memory_order_relaxed);
  SendItem item;
  item.file = std::move(file);
  work.add(std::move(item));
  // A connection each, as long as there is work for it.
  if (workers_.size() < options.jobs && (workers_.empty() || work.size() > 0)) {
    workers_.push_back(spawn([this] { SendWorker(*this).run(); }));
  }
}

}  // namespace weft::app
