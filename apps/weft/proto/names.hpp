#pragma once

#include <optional>
#include <string>
#include <string_view>

// Names of files as they travel: relative paths with slashes. Both ends check every name they are given.
namespace weft::app {

/// The server's own folder inside the served one. No name may contain it, so it is neither listed nor reachable.
inline constexpr std::string_view kPrivateFolder = ".weft-part";
inline constexpr std::size_t kMaxNameBytes = 4095;
inline constexpr std::size_t kMaxPartBytes = 255;  // NAME_MAX of Linux file systems

/// What is wrong with `name`, in words that fit after "the name": nothing when it is fine.
/// Fine are relative paths in UTF-8 whose parts are neither empty, "." nor "..", without NUL.
[[nodiscard]] std::optional<std::string> name_complaint(std::string_view name);
/// The same where too long is told apart from malformed: ENAMETOOLONG has its own answer.
[[nodiscard]] bool is_too_long(std::string_view name) noexcept;

struct SplitName {
  std::string_view folder;  // empty: the root
  std::string_view leaf;
};
[[nodiscard]] SplitName split_name(std::string_view name) noexcept;

/// "NAME.N", with NAME shortened (at a character) where the result would be longer than a file name may be.
[[nodiscard]] std::string numbered_name(std::string_view leaf, unsigned number);

/// "a/b" of "a" and "b"; either may be empty.
[[nodiscard]] std::string join_names(std::string_view folder, std::string_view leaf);

}  // namespace weft::app
