#include "store/publish.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>

#include "base/text.hpp"
#include "proto/names.hpp"

namespace weft::app {

namespace {

// Tries names until `create` finds one free, and returns it. A process that was killed may have left some, and in a
// container the next one has the same number.
template <class Create>
std::string create_under_fresh_name(Create create) {
  static std::atomic<std::uint64_t> counter{0};
  while (true) {
    std::string name =
        fmt::format(".weft-tmp-{}-{}", ::getpid(), counter.fetch_add(1, std::memory_order_relaxed));
    const int error = create(name.c_str());
    if (error == 0) return name;
    if (error != EEXIST) throw refusal_of_errno(error, "make a temporary file", name);
  }
}

FileDescriptor open_unnamed(int folder) {
  return FileDescriptor(::openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
}

// Tries to give the file a name that is free. Returns 0 or an error number.
using Attempt = std::function<int(const char* leaf)>;

void refuse_unless_regular(int folder, const std::string& leaf) {
  struct stat info {};
  if (::fstatat(folder, leaf.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return;  // free, or vanished meanwhile
  if (S_ISDIR(info.st_mode)) throw Refusal(Code::IsFolder, fmt::format("\"{}\" is a folder", escaped(leaf)));
  if (!S_ISREG(info.st_mode)) {
    throw Refusal(Code::NotAFile, fmt::format("\"{}\" exists and is no regular file", escaped(leaf)));
  }
}

std::string publish_refusing(int folder, const std::string& leaf, const Attempt& attempt) {
  const int error = attempt(leaf.c_str());
  if (error == EEXIST) {
    refuse_unless_regular(folder, leaf);
    throw AlreadyThere(leaf, taken_size(folder, leaf).value_or(0));
  }
  if (error != 0) throw refusal_of_errno(error, "store", leaf);
  return leaf;
}

std::string publish_numbered(const std::string& leaf, const Attempt& attempt) {
  std::string name = leaf;
  for (unsigned number = 1;; ++number) {
    const int error = attempt(name.c_str());
    if (error == 0) return name;
    if (error != EEXIST || number == 0) throw refusal_of_errno(error, "store", name);
    name = numbered_name(leaf, number);
  }
}

std::string publish_renaming(int from_folder, const std::string& from, int folder, const std::string& leaf,
                             Policy policy) {
  const auto rename_with = [&](const char* name, unsigned flags) {
    return ::renameat2(from_folder, from.c_str(), folder, name, flags) == 0 ? 0 : errno;
  };
  const Attempt rename = [&](const char* name) { return rename_with(name, RENAME_NOREPLACE); };
  if (policy == Policy::Refuse) return publish_refusing(folder, leaf, rename);
  if (policy == Policy::Rename) return publish_numbered(leaf, rename);
  refuse_unless_regular(folder, leaf);
  if (const int error = rename_with(leaf.c_str(), 0)) throw refusal_of_errno(error, "store", leaf);
  return leaf;
}

}  // namespace

StagedFile::StagedFile(const Root& root, int folder)
    : folder_(folder), private_folder_(root.private_fd() >= 0 ? root.private_fd() : folder) {
  if (root.has_unnamed_files()) file_ = open_unnamed(folder);
  if (file_) return;
  private_name_ = create_under_fresh_name([&](const char* name) {
    file_ = FileDescriptor(::openat(private_folder_, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
    return file_ ? 0 : errno;
  });
}

StagedFile::StagedFile(StagedFile&& other) noexcept
    : folder_(other.folder_),
      private_folder_(other.private_folder_),
      file_(std::move(other.file_)),
      private_name_(std::exchange(other.private_name_, {})) {}

StagedFile::~StagedFile() {
  if (!private_name_.empty()) ::unlinkat(private_folder_, private_name_.c_str(), 0);
}

std::string StagedFile::publish(std::string_view leaf, Policy policy) {
  if (policy == Policy::Overwrite && private_name_.empty()) give_private_name();
  if (!private_name_.empty()) {
    std::string stored = publish_renaming(private_folder_, private_name_, folder_, std::string(leaf), policy);
    private_name_.clear();
    return stored;
  }
  const std::string self = fmt::format("/proc/self/fd/{}", file_.get());
  const Attempt link = [&](const char* name) {
    return ::linkat(AT_FDCWD, self.c_str(), folder_, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
  };
  return policy == Policy::Rename ? publish_numbered(std::string(leaf), link)
                                  : publish_refusing(folder_, std::string(leaf), link);
}

// linkat(2) cannot replace a file; rename(2) can, but needs a name to rename from.
void StagedFile::give_private_name() {
  const std::string self = fmt::format("/proc/self/fd/{}", file_.get());
  private_name_ = create_under_fresh_name([&](const char* name) {
    return ::linkat(AT_FDCWD, self.c_str(), private_folder_, name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
  });
}

std::string publish_private(const Root& root, const std::string& private_name, int folder,
                            std::string_view leaf, Policy policy) {
  return publish_renaming(root.private_fd(), private_name, folder, std::string(leaf), policy);
}

std::string publish_beside(int folder, const std::string& part_name, std::string_view leaf, Policy policy) {
  return publish_renaming(folder, part_name, folder, std::string(leaf), policy);
}

void set_facts(int file, const FileFacts& facts, const Root& root, std::string_view name) {
  if (::fchmod(file, facts.mode & 0777 & ~root.umask()) != 0)
    throw refusal_of_errno(errno, "set the mode of", name);
  if (facts.mtime_ns == 0) return;
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::int64_t nanoseconds =
      (facts.mtime_ns % kSecond + kSecond) % kSecond;  // times before 1970 are negative
  const timespec times[2] = {{0, UTIME_OMIT}, {(facts.mtime_ns - nanoseconds) / kSecond, nanoseconds}};
  if (::futimens(file, times) != 0) throw refusal_of_errno(errno, "set the time of", name);
}

void sync_file(int file, Fsync fsync, std::string_view name) {
  if (fsync == Fsync::None) return;
  const int result = fsync == Fsync::Full ? ::fsync(file) : ::fdatasync(file);
  if (result != 0) throw refusal_of_errno(errno, "sync", name);
}

void sync_folder(int folder, Fsync fsync, std::string_view name) {
  if (fsync != Fsync::None && ::fsync(folder) != 0) throw refusal_of_errno(errno, "sync the folder of", name);
}

std::optional<std::uint64_t> taken_size(int folder, const std::string& leaf) {
  struct stat info {};
  if (::fstatat(folder, leaf.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  return S_ISREG(info.st_mode) ? static_cast<std::uint64_t>(info.st_size) : 0;
}

AlreadyThere::AlreadyThere(std::string_view name, std::uint64_t size)
    : Refusal(Code::Exists, fmt::format("\"{}\" exists; use --overwrite or --rename", escaped(name))),
      size_(size) {}

void write_fully(int file, std::string_view bytes, std::uint64_t offset, std::string_view name) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw refusal_of_errno(errno, "write", name);
    bytes.remove_prefix(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

}  // namespace weft::app
