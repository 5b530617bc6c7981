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

  struct Call {
    std::string function;  // empty: unknown
    std::string place;     // bank.cpp:41, or module and offset
    bool is_of_library;    // of weft, or of the system
  };
  /// What is called at a return address: the call itself, then those that inlined it; at least one.
  [[nodiscard]] std::vector<Call> calls_at(std::uintptr_t caller) const;
  /// The function that a return address is in; empty: unknown.
  [[nodiscard]] std::string function_of(std::uintptr_t caller) const { return debug_info_.function_of(caller - 1); }

 private:
  port::DebugInfo debug_info_;
  std::string own_sources_;
};

/// A function's name with its file, or file and offset, without debug information.
[[nodiscard]] std::string symbol(std::uintptr_t address);

}  // namespace weft::detail
