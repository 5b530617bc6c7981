#include "store/part_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>

#include "base/text.hpp"
#include "store/read_file.hpp"

namespace weft::app {

namespace {

// Started this often, write-back keeps pace with the network and the final fdatasync has little left to do.
constexpr std::uint64_t kWriteBackBytes = 8 * kChunkBytes;
// With Fsync::Full, at most this much of an upload is lost by a power cut.
constexpr std::uint64_t kFullSyncBytes = 64 * kChunkBytes;

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::uint64_t size_of(int file) {
  struct stat info {};
  return ::fstat(file, &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

}  // namespace

std::string UploadIdentity::key() const {
  // Lengths and separators keep different identities from having the same text.
  return Sha256::hex_of(fmt::format("{} {} {} {}:{}", size, mtime_ns, checks, name.size(), name))
      .substr(0, 32);
}

PartFile::PartFile(const Root& root, const UploadIdentity& identity, Fsync fsync)
    : root_(&root), identity_(identity), key_(identity.key()), fsync_(fsync), bytes_(open_private(key_)) {
  if (::flock(bytes_.get(), LOCK_EX | LOCK_NB) != 0) {
    throw Refusal(Code::Busy, fmt::format("another process is receiving \"{}\"; try again later",
                                          escaped(identity_.name)));
  }
  claimed_bytes_ = std::min(size_of(bytes_.get()), identity_.size);
  if (!identity_.checks) return;
  sums_ = open_private(key_ + ".sums");
  claimed_bytes_ = std::min(claimed_bytes_, size_of(sums_.get()) / sizeof(std::uint64_t) * kChunkBytes);
}

FileDescriptor PartFile::open_private(const std::string& name) const {
  FileDescriptor file(
      ::openat(root_->private_fd(), name.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) throw refusal_of_errno(errno, "make the part file of", identity_.name);
  return file;
}

bool PartFile::verify_some(Sha256& whole, std::size_t max_chunks) {
  buffer_.resize(kChunkBytes);
  for (std::size_t i = 0; i < max_chunks; ++i) {
    const std::uint64_t wanted = std::min<std::uint64_t>(kChunkBytes, identity_.size - good_bytes_);
    if (wanted == 0 || good_bytes_ + wanted > claimed_bytes_) return false;
    const std::span<std::byte> chunk(buffer_.data(), wanted);
    if (read_fully(bytes_.get(), chunk, good_bytes_, identity_.name) != wanted) return false;
    if (sums_) {
      std::uint64_t sum = 0;
      const std::span<std::byte> place(reinterpret_cast<std::byte*>(&sum), sizeof sum);
      const std::uint64_t at = good_bytes_ / kChunkBytes * sizeof sum;
      if (read_fully(sums_.get(), place, at, identity_.name) != sizeof sum || sum != xxh3(chunk))
        return false;
    }
    whole.update(chunk);
    good_bytes_ += wanted;
  }
  return true;
}

void PartFile::cut_to_good() {
  buffer_ = {};
  const std::uint64_t sums = (good_bytes_ + kChunkBytes - 1) / kChunkBytes * sizeof(std::uint64_t);
  if (::ftruncate(bytes_.get(), static_cast<off_t>(good_bytes_)) != 0 ||
      (sums_ && ::ftruncate(sums_.get(), static_cast<off_t>(sums)) != 0)) {
    throw refusal_of_errno(errno, "cut the part file of", identity_.name);
  }
  written_back_ = good_bytes_;
}

void PartFile::restart() {
  good_bytes_ = 0;
  cut_to_good();
}

void PartFile::append(std::span<const std::byte> chunk, std::uint64_t sum) {
  write_fully(bytes_.get(), as_text(chunk), good_bytes_, identity_.name);
  if (sums_) {
    // x86-64 and aarch64 are little-endian, like the file.
    const std::string_view sum_bytes(reinterpret_cast<const char*>(&sum), sizeof sum);
    write_fully(sums_.get(), sum_bytes, good_bytes_ / kChunkBytes * sizeof sum, identity_.name);
  }
  good_bytes_ += chunk.size();
  start_write_back();
}

void PartFile::start_write_back() noexcept {
  const std::uint64_t behind = good_bytes_ - written_back_;
  if (fsync_ == Fsync::Full && behind >= kFullSyncBytes) {
    // An error here shows up again in the final sync, which is checked.
    ::fdatasync(bytes_.get());
    if (sums_) ::fdatasync(sums_.get());
    written_back_ = good_bytes_;
  } else if (fsync_ == Fsync::File && behind >= kWriteBackBytes) {
    ::sync_file_range(bytes_.get(), static_cast<off_t>(written_back_), static_cast<off_t>(behind),
                      SYNC_FILE_RANGE_WRITE);
    written_back_ = good_bytes_;
  }
}

void PartFile::sync() {
  sync_file(bytes_.get(), fsync_, identity_.name);
}

std::string PartFile::publish(int folder, std::string_view leaf, Policy policy, const FileFacts& facts) {
  set_facts(bytes_.get(), facts, *root_, identity_.name);
  if (fsync_ == Fsync::Full) sync();  // times and mode, which came after the content
  std::string stored = publish_private(*root_, key_, folder, leaf, policy);
  sync_folder(folder, fsync_, identity_.name);
  if (sums_) ::unlinkat(root_->private_fd(), (key_ + ".sums").c_str(), 0);
  return stored;
}

void PartFile::discard() noexcept {
  ::unlinkat(root_->private_fd(), key_.c_str(), 0);
  if (sums_) ::unlinkat(root_->private_fd(), (key_ + ".sums").c_str(), 0);
}

std::size_t remove_stale_parts(const Root& root, std::int64_t age_seconds) {
  const int copy = ::openat(root.private_fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(copy < 0 ? nullptr : ::fdopendir(copy), ::closedir);
  if (!folder) return 0;
  const std::time_t oldest = std::time(nullptr) - age_seconds;
  std::size_t removed = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    struct stat info {};
    if (::fstatat(root.private_fd(), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(info.st_mode))
      continue;
    if (info.st_mtime < oldest && ::unlinkat(root.private_fd(), entry->d_name, 0) == 0) ++removed;
  }
  return removed;
}

void check_room(const Root& root, std::uint64_t bytes, std::string_view name) {
  struct statvfs info {};
  if (::fstatvfs(root.fd(), &info) != 0 || info.f_blocks == 0) return;  // some file systems do not say
  const std::uint64_t room = info.f_bavail * info.f_frsize;
  if (bytes <= room) return;
  throw Refusal(Code::NoSpace,
                fmt::format("\"{}\" needs {} more, and the disk has {} left; free some space there, "
                            "then try again",
                            escaped(name), bytes_text(bytes), bytes_text(room)));
}

}  // namespace weft::app
