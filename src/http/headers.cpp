#include <weft/http/headers.hpp>

#include <algorithm>

#include "http/text.hpp"

namespace weft::http {

std::optional<std::string> Headers::get(std::string_view name) const {
  std::optional<std::string> joined;
  for (const auto& [key, value] : entries_) {
    if (!equal_ignoring_case(key, name)) continue;
    if (joined) {
      *joined += ", " + value;
    } else {
      joined = value;
    }
  }
  return joined;
}

std::vector<std::string> Headers::get_all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : entries_) {
    if (equal_ignoring_case(key, name)) values.push_back(value);
  }
  return values;
}

bool Headers::contains(std::string_view name) const noexcept {
  return std::any_of(begin(), end(), [name](const Entry& entry) { return equal_ignoring_case(entry.first, name); });
}

void Headers::set(std::string name, std::string value) {
  erase(name);
  add(std::move(name), std::move(value));
}

void Headers::erase(std::string_view name) {
  std::erase_if(entries_, [name](const Entry& entry) { return equal_ignoring_case(entry.first, name); });
}

}  // namespace weft::http
