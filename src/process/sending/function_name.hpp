#pragma once

#include <string>

namespace weft::detail {

/// What a function is called, for reports: by the program's symbols and debug information, if there are any; else module and offset. Slow
/// for each function's first time.
[[nodiscard]] std::string function_name(void (*function)());

}  // namespace weft::detail
