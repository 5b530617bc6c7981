#pragma once

#include <string_view>

#include "base/endpoint.hpp"
#include "base/exit_code.hpp"
#include "client/options.hpp"

namespace weft::app {

struct PromptCommand {
  enum class Kind { Text, File, Quit, Bad };
  Kind kind = Kind::Bad;
  std::string_view argument;
};

/// Reads one line: "msg|TEXT", "file|PATH", "q" or "Q".
[[nodiscard]] PromptCommand parse_prompt_line(std::string_view line);

/// `weft send HOST:PORT` without files: asks for messages and files until q, Q or the end of the input, which may be
/// a terminal or a pipe. What it cannot read it answers with "bad format", and asks again.
[[nodiscard]] ExitCode prompt_command(const Endpoint& target, const ClientOptions& options, bool is_plain);

}  // namespace weft::app
