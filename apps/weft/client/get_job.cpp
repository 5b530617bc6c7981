#include "client/get_job.hpp"

#include <fmt/format.h>

#include "base/text.hpp"
#include "client/get_worker.hpp"
#include "client/list.hpp"
#include "client/retry.hpp"
#include "proto/names.hpp"
#include "weft/io/blocking.hpp"

namespace weft::app {

void GetJob::run(const std::vector<std::string>& names, const std::string& as) {
  Retry retry(options, has_connected);
  while (true) {
    try {
      find_files(names, as);
      break;
    } catch (const std::exception& failure) {
      if (!retry.wait_after(failure, server, report, stopped)) break;
    }
  }
  finish();
}

void GetJob::find_files(const std::vector<std::string>& names, const std::string& as) {
  ServerConnection connection(server, options, &sockets);
  has_connected.store(true);
  if (!connection.welcome().may_read) throw SaidBye({Code::Denied, "the token does not allow downloads"});
  for (; names_found_ < names.size(); ++names_found_) {
    const std::string& name = names[names_found_];
    const std::string local = !as.empty() ? as : std::string(split_name(name).leaf);
    try {
      find(connection, name, local);
    } catch (const Refusal& refusal) {
      report.file_failed(name, refusal.code(), refusal.what());
    }
  }
  connection.say_close();
}

// A listing tells files from folders: of a folder it has the contents, of a file the server says what it is.
void GetJob::find(ServerConnection& connection, const std::string& name, const std::string& local) {
  const auto found = [&](const Entry& entry) {
    const std::string remote = join_names(name, entry.name);
    if (!found_.insert(remote).second) return;
    if (const auto complaint = name_complaint(entry.name)) {
      report.file_failed(entry.name, Code::BadName, "its name " + *complaint);
      return;
    }
    const std::string target = join_names(local, entry.name);
    if (entry.is_folder) {
      weft::blocking([&] { return destination.make_folder(target, Fsync::None); });
    } else {
      add_file({remote, target, entry.size, 0, 0});
    }
  };
  try {
    const std::uint64_t hidden = fetch_listing(connection, name, true, found);
    if (hidden > 0) report.note(fmt::format("{}: {} entries cannot be received, left out", name, hidden));
  } catch (const Refusal& refusal) {
    if (refusal.code() != Code::NotAFolder) throw;
    add_file({name, local, std::nullopt, 0, 0});
  }
}

void GetJob::add_file(GetItem item) {
  const std::uint64_t bytes = item.size.value_or(0);
  add(std::move(item), bytes, [this] { GetWorker(*this).run(); });
}

}  // namespace weft::app
