#include "proto/names.hpp"

#include <fmt/format.h>

#include "base/text.hpp"

namespace weft::app {

namespace {

std::optional<std::string> part_complaint(std::string_view part) {
  if (part.empty()) return "has an empty part (a slash too many)";
  if (part == "." || part == "..")
    return fmt::format("has the part \"{}\", which could lead elsewhere", part);
  if (part == kPrivateFolder) return fmt::format("has the part \"{}\", which is the server's own", part);
  return std::nullopt;
}

template <class Visit>
void for_each_part(std::string_view name, Visit visit) {
  for (std::size_t begin = 0;;) {
    const std::size_t slash = name.find('/', begin);
    visit(name.substr(begin, slash - begin));
    if (slash == std::string_view::npos) return;
    begin = slash + 1;
  }
}

}  // namespace

std::optional<std::string> name_complaint(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.find('\0') != std::string_view::npos) return "contains a NUL byte";
  if (!is_utf8(name)) return "is not UTF-8";
  if (name.front() == '/') return "is absolute; only names relative to the served folder are taken";
  std::optional<std::string> complaint;
  for_each_part(name, [&](std::string_view part) {
    if (!complaint) complaint = part_complaint(part);
  });
  if (!complaint && is_too_long(name)) {
    complaint =
        fmt::format("is too long: at most {} bytes a part and {} in all", kMaxPartBytes, kMaxNameBytes);
  }
  return complaint;
}

bool is_too_long(std::string_view name) noexcept {
  bool too_long = name.size() > kMaxNameBytes;
  for_each_part(name, [&](std::string_view part) { too_long = too_long || part.size() > kMaxPartBytes; });
  return too_long;
}

SplitName split_name(std::string_view name) noexcept {
  const std::size_t slash = name.rfind('/');
  if (slash == std::string_view::npos) return {{}, name};
  return {name.substr(0, slash), name.substr(slash + 1)};
}

std::string numbered_name(std::string_view leaf, unsigned number) {
  const std::string ending = fmt::format(".{}", number);
  std::string_view stem = leaf;
  while (stem.size() + ending.size() > kMaxPartBytes || (stem.size() < leaf.size() && !is_utf8(stem))) {
    stem.remove_suffix(1);
  }
  return std::string(stem) + ending;
}

std::string join_names(std::string_view folder, std::string_view leaf) {
  if (folder.empty()) return std::string(leaf);
  if (leaf.empty()) return std::string(folder);
  return fmt::format("{}/{}", folder, leaf);
}

}  // namespace weft::app
