#include "client/send_job.hpp"

#include "client/send_worker.hpp"
#include "proto/names.hpp"

namespace weft::app {

void SendJob::run(const std::vector<std::string>& paths, const std::string& as) {
  find_files(paths, as);
  finish();
}

void SendJob::find_files(const std::vector<std::string>& paths, const std::string& as) {
  WalkVisitor visitor;
  visitor.found = [&](LocalFile file) {
    if (!as.empty()) file.name = join_names(server.name, as);
    add_file(std::move(file));
    return !work.is_stopped();
  };
  visitor.failed = [&](const std::string& path, Code code, const std::string& why) {
    report.file_failed(path, code, why);
  };
  visitor.skipped = [&](const std::string& path, const std::string& why) {
    report.note(path + ": " + why + ", left out");
  };
  for (const std::string& path : paths) {
    if (!work.is_stopped()) walk(path, server.name, visitor);
  }
}

void SendJob::add_file(LocalFile file) {
  const std::uint64_t bytes = file.size;
  SendItem item;
  item.file = std::move(file);
  add(std::move(item), bytes, [this] { SendWorker(*this).run(); });
}

}  // namespace weft::app
