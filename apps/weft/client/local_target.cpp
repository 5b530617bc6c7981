#include "client/local_target.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.hpp"
#include "proto/names.hpp"

namespace weft::app {

namespace {

std::string part_leaf_of(std::string_view leaf) {
  std::string part = fmt::format(".{}.weft-part", leaf);
  if (part.size() <= kMaxPartBytes) return part;
  return fmt::format(".{}.weft-part", Sha256::hex_of(leaf).substr(0, 32));
}

}  // namespace

LocalPart::LocalPart(const Root& root, const std::string& name)
    : root_(&root),
      name_(name),
      part_leaf_(part_leaf_of(split_name(name).leaf)),
      folder_(root.make_folder(split_name(name).folder, Fsync::None)),
      file_(::openat(folder_.get(), part_leaf_.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600)) {
  if (!file_) throw refusal_of_errno(errno, "make the part file of", name);
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    throw Refusal(Code::Busy, fmt::format("another process is receiving \"{}\"", escaped(name)));
  }
  struct stat info {};
  if (::fstat(file_.get(), &info) == 0)
    size_ = static_cast<std::uint64_t>(info.st_size) / kChunkBytes * kChunkBytes;
}

void LocalPart::cut(std::uint64_t size) {
  if (::ftruncate(file_.get(), static_cast<off_t>(size)) != 0)
    throw refusal_of_errno(errno, "cut the part file of", name_);
  size_ = size;
}

std::string LocalPart::publish(Policy policy, const FileFacts& facts) {
  set_facts(file_.get(), facts, *root_, name_);
  const SplitName split = split_name(name_);
  return join_names(split.folder, publish_beside(folder_.get(), part_leaf_, split.leaf, policy));
}

void LocalPart::discard() noexcept {
  ::unlinkat(folder_.get(), part_leaf_.c_str(), 0);
}

std::optional<std::uint64_t> local_size(const Root& root, const std::string& name) {
  const SplitName split = split_name(name);
  FileDescriptor folder;
  try {
    folder = root.open_folder(split.folder);
  } catch (const Refusal& refusal) {
    if (refusal.code() == Code::NotFound) return std::nullopt;
    throw;
  }
  const std::string leaf(split.leaf);
  struct stat info {};
  if (::fstatat(folder.get(), leaf.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  if (S_ISDIR(info.st_mode))
    throw Refusal(Code::IsFolder, fmt::format("\"{}\" is a folder here", escaped(name)));
  if (!S_ISREG(info.st_mode))
    throw Refusal(Code::NotAFile, fmt::format("\"{}\" is no regular file here", escaped(name)));
  return static_cast<std::uint64_t>(info.st_size);
}

}  // namespace weft::app
