#pragma once

#include <cstddef>
#include <utility>

namespace weft::detail {

// What libweft-patch.so has said of itself.
[[nodiscard]] bool patch_is_active() noexcept;
[[nodiscard]] std::pair<const char* const*, std::size_t> unpatched_calls() noexcept;

}  // namespace weft::detail
