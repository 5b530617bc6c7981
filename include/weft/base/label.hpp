#pragma once

#include <source_location>
#include <string>

namespace weft {

/// What an object is called in reports: its name, or, for want of one, where it was made.
///
/// Thread-safety: a value. Cost: two words. A name must outlive the object: a literal.
class Label {
 public:
  constexpr Label() = default;
  constexpr Label(const char* name, std::source_location site) : site_{site}, name_{name} {}

  /// Null: unnamed.
  [[nodiscard]] constexpr const char* name() const noexcept { return name_; }
  [[nodiscard]] constexpr bool has_site() const noexcept { return site_.line() != 0; }
  /// `"savings"`, or `made at bank.cpp:12`.
  [[nodiscard]] std::string text() const;

 private:
  std::source_location site_;
  const char* name_ = nullptr;
};

}  // namespace weft
