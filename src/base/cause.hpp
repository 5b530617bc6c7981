#pragma once

#include <exception>
#include <string>

namespace weft::detail {

/// What an exception says of itself, for reports of those that nobody will catch.
[[nodiscard]] std::string cause_of(const std::exception_ptr& failure);

/// How a process ended: "exited with code 3", or, negative, "was ended by signal 9 (Killed)".
[[nodiscard]] std::string describe_exit(int exit_code);

}  // namespace weft::detail
