#include "store/root.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.hpp"
#include "proto/names.hpp"
#include "weft/base/error.hpp"

namespace weft::app {

namespace {

constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
constexpr mode_t kFolderMode = 0777;  // less the umask

// glibc has no wrapper for openat2(2). EAGAIN: a rename raced with the look-up; the kernel asks to try again.
int openat2_beneath(int folder, const std::string& name, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (int attempt = 0;; ++attempt) {
    const long fd = ::syscall(SYS_openat2, folder, name.c_str(), &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    if ((errno != EAGAIN || attempt == 100) && errno != EINTR) return -errno;
  }
}

std::uint32_t read_umask() {
  const mode_t mask = ::umask(022);
  ::umask(mask);
  return mask;
}

bool probe_unnamed_files(int folder) {
  const FileDescriptor probe(::openat(folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
  return static_cast<bool>(probe);
}

FileDescriptor open_private_folder(int root, const std::string& path) {
  const std::string name(kPrivateFolder);
  if (::mkdirat(root, name.c_str(), 0700) != 0 && errno != EEXIST) {
    throw OSError(errno, "make folder", path + "/" + name);
  }
  FileDescriptor folder(::openat(root, name.c_str(), kFolderFlags | O_NOFOLLOW));
  if (!folder) throw OSError(errno, "open folder", path + "/" + name);
  return folder;
}

}  // namespace

Root Root::open(const std::string& path, bool with_private_folder) {
  Root root;
  if (::mkdir(path.c_str(), kFolderMode) != 0 && errno != EEXIST) throw OSError(errno, "make folder", path);
  root.root_ = FileDescriptor(::open(path.c_str(), kFolderFlags));
  if (!root.root_) throw OSError(errno, "open folder", path);
  if (with_private_folder) root.private_ = open_private_folder(root.fd(), path);
  root.has_unnamed_files_ = probe_unnamed_files(root.fd());
  root.umask_ = read_umask();
  return root;
}

int Root::open_beneath(std::string_view name, int flags) const {
  return openat2_beneath(fd(), name.empty() ? "." : std::string(name), flags | O_CLOEXEC);
}

FileDescriptor Root::open_folder(std::string_view name) const {
  if (!name.empty()) check_name(name);
  const int folder = open_beneath(name, kFolderFlags);
  if (folder < 0) throw refusal_of_errno(-folder, "open folder", name);
  return FileDescriptor(folder);
}

FileDescriptor Root::make_folder(std::string_view name, Fsync fsync) const {
  if (!name.empty()) check_name(name);
  const int existing = open_beneath(name, kFolderFlags);
  if (existing >= 0) return FileDescriptor(existing);
  if (existing != -ENOENT) throw refusal_of_errno(-existing, "open folder", name);

  const SplitName split = split_name(name);
  const FileDescriptor parent = make_folder(split.folder, fsync);
  if (::mkdirat(parent.get(), std::string(split.leaf).c_str(), kFolderMode) != 0 && errno != EEXIST) {
    throw refusal_of_errno(errno, "make folder", name);
  }
  if (fsync != Fsync::None && ::fsync(parent.get()) != 0)
    throw refusal_of_errno(errno, "sync folder", split.folder);
  return open_folder(name);
}

FileDescriptor Root::open_file(std::string_view name) const {
  check_name(name);
  // O_NONBLOCK: opening a pipe that someone planted must not wait for a writer.
  FileDescriptor file(open_beneath(name, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (!file) throw refusal_of_errno(-file.get(), "open", name);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) throw refusal_of_errno(errno, "look at", name);
  if (S_ISDIR(info.st_mode)) throw Refusal(Code::IsFolder, fmt::format("\"{}\" is a folder", escaped(name)));
  if (!S_ISREG(info.st_mode))
    throw Refusal(Code::NotAFile, fmt::format("\"{}\" is no regular file", escaped(name)));
  return file;
}

void check_name(std::string_view name) {
  const auto complaint = name_complaint(name);
  if (!complaint) return;
  const Code code = is_too_long(name) ? Code::NameTooLong : Code::BadName;
  constexpr std::size_t kShown = 100;
  throw Refusal(code, fmt::format("the name \"{}{}\" {}", escaped(name.substr(0, kShown)),
                                  name.size() > kShown ? "..." : "", *complaint));
}

}  // namespace weft::app
