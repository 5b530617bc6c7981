#include "client/send_command.hpp"

#include <fmt/format.h>

#include "client/interrupt.hpp"
#include "client/report.hpp"
#include "client/send_job.hpp"

namespace weft::app {

ExitCode send_command(const Endpoint& target, const std::vector<std::string>& paths, const std::string& as,
                      const ClientOptions& options, const std::string& resume_command) {
  const std::string farewell =
      fmt::format("interrupted; what has arrived is kept. To go on: {}", resume_command);
  Report report(options, "sent");
  SendJob job(target, options, report);
  {
    const InterruptGuard guard([&] { job.stop(); }, farewell);
    job.run(paths, as);
  }
  if (job.stopped.is_set()) report.give_up(ExitCode::Interrupted, farewell);
  report.summarize();
  return report.exit_code();
}

}  // namespace weft::app
