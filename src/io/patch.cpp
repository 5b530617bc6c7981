#include <weft/io/patch.hpp>

#include "engine/patched.hpp"

namespace weft::patch {

bool active() noexcept {
  return detail::patch_is_active();
}

std::vector<std::string> unpatched() {
  const auto [names, count] = detail::unpatched_calls();
  return {names, names + count};
}

}  // namespace weft::patch
