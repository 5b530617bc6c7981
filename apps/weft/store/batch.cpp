#include "store/batch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <map>

#include "base/hashing.hpp"
#include "base/text.hpp"
#include "proto/names.hpp"

namespace weft::app {

namespace {

/// The folders that a batch touches, opened once each.
class Folders {
 public:
  Folders(const Root& root, Fsync fsync) : root_(root), fsync_(fsync) {}

  int get(std::string_view name) {
    const auto it = open_.find(name);
    if (it != open_.end()) return it->second.get();
    return open_.emplace(std::string(name), root_.make_folder(name, fsync_)).first->second.get();
  }

 private:
  const Root& root_;
  Fsync fsync_;
  std::map<std::string, FileDescriptor, std::less<>> open_;
};

class Batch {
 public:
  Batch(const Root& root, std::span<const SmallFile> files, Fsync fsync)
      : root_(root), files_(files), fsync_(fsync), folders_(root, fsync) {
    results_.reserve(files.size());
    for (const SmallFile& file : files) results_.push_back({file.id, {}, std::nullopt, 0});
  }

  // Nothing is waited for: each file is finished before the next is begun, with one descriptor in use.
  void store_one_by_one() {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      attempt(i, [&] { publish(i, stage(i)); });
    }
  }

  void store_in_step() {
    std::vector<std::optional<StagedFile>> staged(files_.size());
    for_each_good([&](std::size_t i) { staged[i].emplace(stage(i)); });
    for (const auto& file : staged) {
      if (file)
        ::sync_file_range(file->fd(), 0, 0, SYNC_FILE_RANGE_WRITE);  // a hint; fdatasync reports errors
    }
    for_each_good([&](std::size_t i) { sync_file(staged[i]->fd(), fsync_, files_[i].name); });
    for_each_good([&](std::size_t i) { publish(i, std::move(*staged[i])); });
    sync_folders();
  }

  std::vector<SmallResult> take_results() { return std::move(results_); }

 private:
  template <class Step>
  void attempt(std::size_t i, Step step) {
    try {
      step();
    } catch (const AlreadyThere& there) {
      results_[i].failed = there;
      results_[i].size = there.size();
    } catch (const Refusal& refusal) {
      results_[i].failed = refusal;
    }
  }
  template <class Step>
  void for_each_good(Step step) {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (!results_[i].failed) attempt(i, [&] { step(i); });
    }
  }

  StagedFile stage(std::size_t i) {
    const SmallFile& file = files_[i];
    check_name(file.name);
    check_body(file);
    const SplitName split = split_name(file.name);
    const int folder = folders_.get(split.folder);
    if (file.policy == Policy::Refuse) refuse_if_taken(folder, split.leaf);
    StagedFile staged(root_, folder);
    write_fully(staged.fd(), file.body, 0, file.name);
    set_facts(staged.fd(), file.facts, root_, file.name);
    return staged;
  }

  static void check_body(const SmallFile& file) {
    if (!file.has_checks) return;
    if ((!file.body.empty() && xxh3(file.body) != file.sum) || Sha256::hex_of(file.body) != file.sha256) {
      throw Refusal(Code::Corrupt, fmt::format("\"{}\" was damaged on the way", escaped(file.name)));
    }
  }

  // publish() decides; this only spares the work where the answer is known.
  static void refuse_if_taken(int folder, std::string_view leaf) {
    const std::string name(leaf);
    struct stat info {};
    if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode)) {
      throw AlreadyThere(name, static_cast<std::uint64_t>(info.st_size));
    }
  }

  void publish(std::size_t i, StagedFile staged) {
    const SplitName split = split_name(files_[i].name);
    results_[i].name = join_names(split.folder, staged.publish(split.leaf, files_[i].policy));
  }

  void sync_folders() {
    std::map<int, std::optional<Refusal>> synced;
    for_each_good([&](std::size_t i) {
      const int folder = folders_.get(split_name(files_[i].name).folder);
      const auto [it, is_new] = synced.try_emplace(folder);
      if (is_new) {
        try {
          sync_folder(folder, fsync_, files_[i].name);
        } catch (const Refusal& refusal) {
          it->second = refusal;
        }
      }
      if (it->second) throw Refusal(*it->second);
    });
  }

  const Root& root_;
  std::span<const SmallFile> files_;
  Fsync fsync_;
  Folders folders_;
  std::vector<SmallResult> results_;
};

}  // namespace

std::vector<SmallResult> store_batch(const Root& root, std::span<const SmallFile> files, Fsync fsync) {
  Batch batch(root, files, fsync);
  if (fsync == Fsync::None) {
    batch.store_one_by_one();
  } else {
    batch.store_in_step();
  }
  return batch.take_results();
}

}  // namespace weft::app
