#pragma once

#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::http {

/// The headers of a request or of a response: names, in which case does not matter, and values, in their order. A name may
/// occur more than once.
///
/// Semantics:     after requests.structures.CaseInsensitiveDict; differs: repeated headers are kept apart.
/// Thread-safety: a value. Cost: a search looks at all of them.
class Headers {
 public:
  using Entry = std::pair<std::string, std::string>;

  Headers() = default;
  Headers(std::initializer_list<Entry> entries) : entries_{entries} {}

  /// The value; of a header that occurs more than once all values, joined by ", " (which is no good for Set-Cookie: get_all()).
  [[nodiscard]] std::optional<std::string> get(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> get_all(std::string_view name) const;
  [[nodiscard]] bool contains(std::string_view name) const noexcept;

  /// Replaces all headers of that name.
  void set(std::string name, std::string value);
  /// Beside those of that name.
  void add(std::string name, std::string value) { entries_.emplace_back(std::move(name), std::move(value)); }
  void erase(std::string_view name);

  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  [[nodiscard]] auto begin() const noexcept { return entries_.begin(); }
  [[nodiscard]] auto end() const noexcept { return entries_.end(); }

 private:
  std::vector<Entry> entries_;
};

}  // namespace weft::http
