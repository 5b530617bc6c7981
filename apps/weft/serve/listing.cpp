#include "serve/listing.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "proto/names.hpp"
#include "weft/io/blocking.hpp"

namespace weft::app {

namespace {

std::optional<Entry> make_entry(int folder, const char* name) {
  struct stat info {};
  if (name_complaint(name) || ::fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) return std::nullopt;
  Entry entry;
  entry.name = name;
  entry.is_folder = S_ISDIR(info.st_mode);
  entry.size = entry.is_folder ? 0 : static_cast<std::uint64_t>(info.st_size);
  entry.mtime_ns = static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
  return entry;
}

bool is_never_listed(std::string_view name) {
  return name == "." || name == ".." || name == kPrivateFolder;
}

}  // namespace

FolderListing list_folder(const Root& root, const std::string& name) {
  const FileDescriptor folder = root.open_folder(name);
  // fdopendir(3) takes its descriptor over.
  const int copy = ::fcntl(folder.get(), F_DUPFD_CLOEXEC, 0);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(copy < 0 ? nullptr : ::fdopendir(copy), ::closedir);
  if (!stream) throw refusal_of_errno(errno, "list", name);
  FolderListing listing;
  while (const dirent* found = ::readdir(stream.get())) {
    if (is_never_listed(found->d_name)) continue;
    if (std::optional<Entry> entry = make_entry(folder.get(), found->d_name)) {
      listing.entries.push_back(std::move(*entry));
    } else {
      ++listing.hidden;
    }
  }
  std::sort(listing.entries.begin(), listing.entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return listing;
}

namespace {

/// Cuts a listing into messages of a modest size.
class EntriesSender {
 public:
  EntriesSender(Wire& wire, RequestId id) : wire_(wire) { message_.id = id; }

  void add(Entry entry) {
    bytes_ += entry.name.size() + 80;
    message_.entries.push_back(std::move(entry));
    if (bytes_ >= kMessageBytes) send(true);
  }
  void add_hidden(std::uint64_t count) { message_.hidden += count; }
  void finish() { send(false); }

 private:
  static constexpr std::size_t kMessageBytes = 48 * 1024;

  void send(bool more) {
    message_.more = more;
    wire_.queue(message_);
    wire_.flush();
    message_.entries.clear();
    message_.hidden = 0;
    bytes_ = 0;
  }

  Wire& wire_;
  Entries message_;
  std::size_t bytes_ = 0;
};

}  // namespace

void send_listing(const Root& root, Wire& wire, const List& request) {
  EntriesSender sender(wire, request.id);
  std::vector<std::string> folders = {""};  // still to be listed, relative to the requested one
  for (bool is_first = true; !folders.empty(); is_first = false) {
    const std::string folder = std::exchange(folders.back(), {});
    folders.pop_back();
    FolderListing listing;
    try {
      listing = weft::blocking([&] { return list_folder(root, join_names(request.name, folder)); });
    } catch (const Refusal&) {
      if (is_first) throw;
      listing.hidden = 1;
    }
    sender.add_hidden(listing.hidden);
    for (Entry& entry : listing.entries) {
      entry.name = join_names(folder, entry.name);
      if (entry.is_folder && request.recursive) folders.push_back(entry.name);
      sender.add(std::move(entry));
    }
  }
  sender.finish();
}

}  // namespace weft::app
