#include "proto/refusal.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "base/text.hpp"

namespace weft::app {

namespace {

struct CodeName {
  Code code;
  std::string_view text;
};

constexpr std::array<CodeName, 21> kCodeNames = {{
    {Code::Aborted, "aborted"},         {Code::BadName, "bad_name"},
    {Code::BadRequest, "bad_request"},  {Code::Busy, "busy"},
    {Code::Changed, "changed"},         {Code::Corrupt, "corrupt"},
    {Code::Denied, "denied"},           {Code::Draining, "draining"},
    {Code::Exists, "exists"},           {Code::Io, "io"},
    {Code::IsFolder, "is_folder"},      {Code::NameTooLong, "name_too_long"},
    {Code::NoSpace, "no_space"},        {Code::NotAFile, "not_a_file"},
    {Code::NotAFolder, "not_a_folder"}, {Code::NotFound, "not_found"},
    {Code::Permission, "permission"},   {Code::TakenOver, "taken_over"},
    {Code::TooLarge, "too_large"},      {Code::TooSlow, "too_slow"},
    {Code::Unsupported, "unsupported"},
}};

struct Cause {
  int errno_value;
  Code code;
  std::string_view advice;  // what to do, where the system's own text does not say
};

constexpr std::array<Cause, 17> kCauses = {{
    {ENOSPC, Code::NoSpace, "free some space on the server, then send again"},
    {EDQUOT, Code::NoSpace, "free some space on the server, then send again"},
    {EACCES, Code::Permission, "the server's user needs the right to do this"},
    {EPERM, Code::Permission, "the server's user needs the right to do this"},
    {EROFS, Code::Permission, "the served folder is read-only"},
    {ENAMETOOLONG, Code::NameTooLong, "use a shorter name"},
    {ENOENT, Code::NotFound, ""},
    {EEXIST, Code::Exists, "use --overwrite or --rename"},
    {ELOOP, Code::BadName, "the name leads through a symbolic link, which is not followed"},
    {EXDEV, Code::BadName, "the name leads out of the served folder or to another file system"},
    {ENOTDIR, Code::NotAFolder, "a part of the name before the last is not a folder"},
    {EISDIR, Code::IsFolder, ""},
    {ENXIO, Code::NotAFile, "it is not a regular file"},
    {EMFILE, Code::Busy, "too many open files; try again later"},
    {ENFILE, Code::Busy, "too many open files; try again later"},
    {EFBIG, Code::TooLarge, ""},
    {EIO, Code::Io, "the disk may be failing"},
}};

}  // namespace

std::string_view code_text(Code code) noexcept {
  for (const CodeName& name : kCodeNames) {
    if (name.code == code) return name.text;
  }
  return "io";
}

std::optional<Code> parse_code(std::string_view text) noexcept {
  for (const CodeName& name : kCodeNames) {
    if (name.text == text) return name.code;
  }
  return std::nullopt;
}

Refusal refusal_of_errno(int errno_value, std::string_view operation, std::string_view name) {
  const std::string what = fmt::format("{} \"{}\": {}", operation, escaped(name),
                                       std::error_code(errno_value, std::system_category()).message());
  for (const Cause& cause : kCauses) {
    if (cause.errno_value != errno_value) continue;
    return {cause.code, cause.advice.empty() ? what : fmt::format("{}; {}", what, cause.advice)};
  }
  return {Code::Io, what};
}

}  // namespace weft::app
