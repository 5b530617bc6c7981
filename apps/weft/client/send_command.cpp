#include "client/send_command.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "base/stop_signals.hpp"
#include "client/report.hpp"
#include "client/send_job.hpp"

namespace weft::app {

ExitCode send_command(const Endpoint& target, const std::vector<std::string>& paths, const std::string& as,
                      const ClientOptions& options, const std::string& resume_command) {
  Report report(options, "sent");
  SendJob job(target, options, report);
  {
    const StopSignals signals([&](int count) {
      if (count > 1) ::_exit(static_cast<int>(ExitCode::Interrupted));
      job.stop();
    });
    job.run(paths, as);
  }
  if (job.stopped.is_set()) {
    report.give_up(ExitCode::Interrupted,
                   fmt::format("interrupted; what has arrived is kept. To go on: {}", resume_command));
  }
  report.summarize();
  return report.exit_code();
}

}  // namespace weft::app
