#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weft::detail {

/// The program's own call that led to a wait, from its return addresses: `bank.cpp:41`, or the function's name, or module and offset;
/// empty when nothing is known. Slow: reads debug information. Called without any lock of the engine's that others wait for
/// long.
[[nodiscard]] std::string place_of_call(const std::vector<std::uintptr_t>& callers);

/// A function's name with its file, or file and offset, without debug information.
[[nodiscard]] std::string symbol(std::uintptr_t address);

}  // namespace weft::detail
