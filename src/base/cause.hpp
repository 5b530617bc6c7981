#pragma once

#include <exception>
#include <string>

namespace weft::detail {

/// What an exception says of itself, for reports of those that nobody will catch.
[[nodiscard]] std::string cause_of(const std::exception_ptr& failure);

}  // namespace weft::detail
