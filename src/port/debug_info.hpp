#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weft::port {

struct SourceLine {
  std::string file;
  int line = 0;
  std::string inlined = {};  // the function that the line is of, if it was inlined; else it is of function_of()
};

/// Reads the debug information of this process by elfutils' libdw, when that is installed: found at run time, so that nothing
/// links to it. Not thread-safe. Slow: the first use reads what the program was built with.
class DebugInfo {
 public:
  DebugInfo();
  ~DebugInfo();
  DebugInfo(const DebugInfo&) = delete;
  DebugInfo& operator=(const DebugInfo&) = delete;

  /// The places in the source that an instruction belongs to: its own first, then those that inlined it, inside to outside.
  /// Empty without libdw, or without debug information.
  [[nodiscard]] std::vector<SourceLine> lines_of(std::uintptr_t address) const;
  /// The function that holds the instruction, as the linker knows it; empty: unknown.
  [[nodiscard]] std::string function_of(std::uintptr_t address) const;

 private:
  struct Library;
  const Library* library_ = nullptr;
  void* session_ = nullptr;  // Dwfl*
};

/// What a human calls a linker's name.
[[nodiscard]] std::string demangled(const char* name);

}  // namespace weft::port
