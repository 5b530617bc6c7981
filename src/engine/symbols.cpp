#include "engine/symbols.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace weft::detail {

namespace {

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// Compilers may have been given paths of different kinds for different files: with and without "..".
std::string normal(const std::string& file) { return std::filesystem::path{file}.lexically_normal().string(); }

// Where weft's own sources were when it was built, as its debug information has it: of a function that is here.
std::string own_sources(const port::DebugInfo& debug_info) {
  const auto lines = debug_info.lines_of(reinterpret_cast<std::uintptr_t>(&symbol));
  if (lines.empty()) return "?";
  const std::string file = normal(lines.front().file);
  return file.substr(0, file.rfind("engine/"));
}

bool is_of_a_library(const std::string& path, const std::string& own) {
  const std::string file = normal(path);
  return file.starts_with(own) || file.find("include/weft/") != std::string::npos || file.starts_with("/usr/include/") ||
         file.starts_with("/usr/lib/");
}

// Without arguments and, of a template, the type it returns, which a demangled name begins with.
std::string_view bare_name(std::string_view function) {
  constexpr std::string_view kAnonymous = "(anonymous namespace)";
  const std::size_t behind = function.starts_with(kAnonymous) ? kAnonymous.size() : 0;
  function = function.substr(0, function.find('(', behind));
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i < function.size(); ++i) {
    if (function[i] == '<') ++depth;
    if (function[i] == '>') --depth;
    if (function[i] == ' ' && depth == 0) begin = i + 1;
  }
  return function.substr(begin);
}

bool is_of_a_library_function(const std::string& function) {
  const std::string_view name = bare_name(function);
  return name.empty() || name.starts_with("weft::") || name.starts_with("std::");
}

std::string module_and_offset(std::uintptr_t address) {
  Dl_info info{};
  char text[512];
  if (::dladdr(reinterpret_cast<void*>(address), &info) == 0) {
    std::snprintf(text, sizeof text, "%#zx", static_cast<std::size_t>(address));
    return text;
  }
  const std::string file{base_name(info.dli_fname)};
  std::snprintf(text, sizeof text, "%s+%#zx", file.c_str(),
                static_cast<std::size_t>(address - reinterpret_cast<std::uintptr_t>(info.dli_fbase)));
  return text;
}

}  // namespace

CallPlaces::CallPlaces() : own_sources_{own_sources(debug_info_)} {}

std::string CallPlaces::of(const std::vector<std::uintptr_t>& callers) const {
  for (const std::uintptr_t caller : callers) {
    for (const port::SourceLine& line : debug_info_.lines_of(caller - 1)) {
      if (!is_of_a_library(line.file, own_sources_)) return std::string{base_name(line.file)} + ':' + std::to_string(line.line);
    }
  }
  for (const std::uintptr_t caller : callers) {
    const std::string function = debug_info_.function_of(caller - 1);
    if (!is_of_a_library_function(function)) return function;
  }
  return callers.empty() ? std::string{} : module_and_offset(callers.back());
}

std::vector<CallPlaces::Call> CallPlaces::calls_at(std::uintptr_t caller) const {
  std::string function = function_of(caller);
  function.resize(std::min(function.size(), function.find(" [clone ")));  // a part of it that the compiler put elsewhere
  const std::vector<port::SourceLine> lines = debug_info_.lines_of(caller - 1);
  if (lines.empty()) return {{function, module_and_offset(caller), !function.empty() && is_of_a_library_function(function)}};
  std::vector<Call> calls;
  for (const port::SourceLine& line : lines) {
    calls.push_back({line.inlined.empty() ? function : line.inlined, std::string{base_name(line.file)} + ':' + std::to_string(line.line),
                     is_of_a_library(line.file, own_sources_)});
  }
  return calls;
}

std::string symbol(std::uintptr_t address) {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(address), &info) == 0 || !info.dli_sname) return module_and_offset(address);
  return port::demangled(info.dli_sname) + " (" + std::string{base_name(info.dli_fname)} + ')';
}

}  // namespace weft::detail
