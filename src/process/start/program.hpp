#pragma once

#include <sys/types.h>

#include <string>

namespace weft::detail {

/// Throws InvalidStateError, with the line to add, unless weft::process::main() has been called.
void require_main_line(const char* method);

/// Starts this program anew, for `what` to be done with the socket `fd`, which it has as number 3, and no other beyond 0, 1 and 2.
/// What the program was called with stays visible behind that. Signals are blocked as when this program began. Throws OSError.
[[nodiscard]] pid_t start_program_anew(const std::string& what, int fd, const std::string& whom);

inline constexpr int kSocketOfChild = 3;

}  // namespace weft::detail
