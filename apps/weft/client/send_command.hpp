#pragma once

#include <string>
#include <vector>

#include "base/endpoint.hpp"
#include "base/exit_code.hpp"
#include "client/options.hpp"

namespace weft::app {

/// `weft send PATH... HOST:PORT[/FOLDER]`. `resume_command` is what to tell a user who interrupts it.
[[nodiscard]] ExitCode send_command(const Endpoint& target, const std::vector<std::string>& paths,
                                    const std::string& as, const ClientOptions& options,
                                    const std::string& resume_command);

}  // namespace weft::app
