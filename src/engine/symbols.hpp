#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "port/debug_info.hpp"

namespace weft::detail {

/// Finds the places of one report. Slow: it reads the debug information of the program, once.
class CallPlaces {
 public:
  CallPlaces();

  /// The program's own call that led to a wait, from its return addresses: `bank.cpp:41`, or the function's name, or module and
  /// offset; empty when nothing is known.
  [[nodiscard]] std::string of(const std::vector<std::uintptr_t>& callers) const;

 private:
  port::DebugInfo debug_info_;
  std::string own_sources_;
};

/// A function's name with its file, or file and offset, without debug information.
[[nodiscard]] std::string symbol(std::uintptr_t address);

}  // namespace weft::detail
