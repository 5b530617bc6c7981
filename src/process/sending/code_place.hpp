#pragma once

#include <cstdint>
#include <string>

namespace weft::detail {

/// Where code is, in terms that mean the same in every process that has loaded the same build.
struct CodePlace {
  std::uint64_t module;  // its identity; 0: in none that is known, and the offset is the address itself
  std::uint64_t offset;
};

[[nodiscard]] CodePlace code_place(std::uintptr_t address);
/// 0: that module is not loaded here.
[[nodiscard]] std::uintptr_t address_of(CodePlace place);
/// Its file, for reports; empty: it is not loaded here.
[[nodiscard]] std::string name_of_module(std::uint64_t identity);

}  // namespace weft::detail
