#include "cli/values.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>

#include "base/text.hpp"

namespace weft::app {

CLI::Option* add_bytes_option(CLI::App& app, const std::string& names, std::uint64_t& target,
                              const std::string& help) {
  const auto read = [&target](const CLI::results_t& values) {
    const auto bytes = parse_bytes(values.at(0));
    if (bytes) target = *bytes;
    return bytes.has_value();
  };
  return app.add_option(names, read, help)->type_name("SIZE")->default_str(bytes_text(target));
}

CLI::Option* add_duration_option(CLI::App& app, const std::string& names, Duration& target,
                                 const std::string& help) {
  const auto read = [&target](const CLI::results_t& values) {
    const auto duration = parse_duration(values.at(0));
    if (duration) target = *duration;
    return duration.has_value();
  };
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(target).count();
  const std::string shown = seconds % 86400 == 0 && seconds > 0 ? fmt::format("{}d", seconds / 86400)
                            : seconds % 60 == 0 && seconds > 60 ? fmt::format("{}m", seconds / 60)
                                                                : fmt::format("{}s", seconds);
  return app.add_option(names, read, help)->type_name("TIME")->default_str(shown);
}

std::string read_token_file(const std::string& path) {
  std::ifstream file(path);
  std::string token;
  if (!file || !std::getline(file, token) || token.empty()) {
    throw CLI::ValidationError(path, "no token on the first line of this file");
  }
  return token;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

Endpoint need_endpoint(const std::string& text, const std::string& example) {
  auto endpoint = parse_endpoint(text);
  if (!endpoint) throw CLI::ValidationError(text, "not of the form " + example);
  return std::move(*endpoint);
}

}  // namespace weft::app
