#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <string>

#include "base/endpoint.hpp"
#include "weft/base/deadline.hpp"

// Kinds of option values that CLI11 does not know.
namespace weft::app {

/// "64K", "2GiB"; see parse_bytes().
CLI::Option* add_bytes_option(CLI::App& app, const std::string& names, std::uint64_t& target,
                              const std::string& help);
/// "10s", "5m"; see parse_duration().
CLI::Option* add_duration_option(CLI::App& app, const std::string& names, Duration& target,
                                 const std::string& help);

/// The first line of a file. Throws: CLI::ValidationError.
[[nodiscard]] std::string read_token_file(const std::string& path);
/// An environment variable; empty when unset.
[[nodiscard]] std::string environment(const char* name);
/// Throws: CLI::ValidationError that shows how it is written.
[[nodiscard]] Endpoint need_endpoint(const std::string& text, const std::string& example);

}  // namespace weft::app
