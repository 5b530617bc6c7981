#include "client/walk.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <system_error>
#include <variant>
#include <vector>

#include "proto/names.hpp"
#include "weft/io/blocking.hpp"

namespace weft::app {

namespace {

struct Folder {
  std::string path;
  std::string name;
};
struct Failure {
  std::string path;
  Code code;
  std::string why;
};
struct Skipped {
  std::string path;
  std::string why;
};
using Found = std::variant<LocalFile, Folder, Failure, Skipped>;

std::string error_text(int error) {
  return std::error_code(error, std::system_category()).message();
}

Found look_at(std::string path, std::string name, bool is_top) {
  struct stat info {};
  struct stat link {};
  if (::stat(path.c_str(), &info) != 0 || ::lstat(path.c_str(), &link) != 0) {
    const int error = errno;
    return Failure{path, error == ENOENT ? Code::NotFound : Code::Permission, error_text(error)};
  }
  if (const auto complaint = name_complaint(name))
    return Failure{path, Code::BadName, "its name " + *complaint};
  if (S_ISDIR(info.st_mode)) {
    // Inside a tree a link to a folder may lead round in a circle.
    if (S_ISLNK(link.st_mode) && !is_top) return Skipped{path, "a link to a folder"};
    return Folder{path, name};
  }
  if (!S_ISREG(info.st_mode)) return Skipped{path, "neither file nor folder"};
  LocalFile file;
  file.path = std::move(path);
  file.name = std::move(name);
  file.size = static_cast<std::uint64_t>(info.st_size);
  file.mtime_ns = static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
  file.mode = info.st_mode & 0777;
  return file;
}

std::vector<Found> read_folder(const Folder& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(folder.path.c_str()), ::closedir);
  if (!stream) return {Failure{folder.path, Code::Permission, error_text(errno)}};
  std::vector<std::string> leaves;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string leaf = entry->d_name;
    if (leaf != "." && leaf != ".." && leaf != kPrivateFolder) leaves.push_back(leaf);
  }
  if (leaves.empty()) {
    LocalFile empty;
    empty.path = folder.path;
    empty.name = folder.name;
    empty.is_empty_folder = true;
    return {empty};
  }
  std::sort(leaves.begin(), leaves.end());
  std::vector<Found> found;
  found.reserve(leaves.size());
  for (const std::string& leaf : leaves) {
    found.push_back(look_at(folder.path + "/" + leaf, join_names(folder.name, leaf), false));
  }
  return found;
}

// The name cp would give: that of the thing itself, also for "." and "dir/..".
std::string last_part(const std::string& path) {
  std::string clean = path;
  while (clean.size() > 1 && clean.back() == '/') clean.pop_back();
  std::string leaf(split_name(clean).leaf);
  if (leaf != "." && leaf != ".." && leaf != "/" && !leaf.empty()) return leaf;
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), ::free);
  return real ? std::string(split_name(real.get()).leaf) : std::string();
}

}  // namespace

void walk(const std::string& path, const std::string& prefix, const WalkVisitor& visitor) {
  std::vector<Folder> folders;
  bool goes_on = true;
  const auto visit = [&](Found& found) {
    if (LocalFile* file = std::get_if<LocalFile>(&found)) {
      goes_on = visitor.found(std::move(*file));
    } else if (Folder* folder = std::get_if<Folder>(&found)) {
      folders.push_back(std::move(*folder));
    } else if (const Failure* failure = std::get_if<Failure>(&found)) {
      visitor.failed(failure->path, failure->code, failure->why);
    } else if (const Skipped* skipped = std::get_if<Skipped>(&found)) {
      visitor.skipped(skipped->path, skipped->why);
    }
  };
  Found top = weft::blocking([&] { return look_at(path, join_names(prefix, last_part(path)), true); });
  visit(top);
  while (goes_on && !folders.empty()) {
    const Folder folder = std::move(folders.back());
    folders.pop_back();
    std::vector<Found> found = weft::blocking([&] { return read_folder(folder); });
    for (std::size_t i = 0; i < found.size() && goes_on; ++i) visit(found[i]);
  }
}

}  // namespace weft::app
