#include "process/memory/own_names.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <weft/base/owned_fd.hpp>

#include "engine/fork.hpp"
#include "engine/immortal.hpp"

namespace weft::process::detail {

namespace {

void unlink_if_still_of(const std::string& name, ino_t inode) noexcept {
  const std::string path = "/" + name;
  const OwnedFd fd{::shm_open(path.c_str(), O_RDONLY | O_CLOEXEC, 0)};
  if (fd && inode_of(fd.get()) == inode) ::shm_unlink(path.c_str());
}

weft::detail::ForkHook fork_hook{.before = []() noexcept { OwnNames::all().before_fork(); },
                                 .after = [](bool in_child) noexcept { OwnNames::all().after_fork(in_child); }};
[[maybe_unused]] const bool fork_is_prepared = (weft::detail::add_fork_hook(fork_hook), true);

}  // namespace

ino_t inode_of(int fd) noexcept {
  struct stat about {};
  return ::fstat(fd, &about) == 0 ? about.st_ino : 0;
}

OwnNames& OwnNames::all() noexcept {
  static constinit weft::detail::Immortal<OwnNames> instance;
  return instance.value;
}

void OwnNames::add(const std::string& name, ino_t inode) {
  const std::scoped_lock guard{lock_};
  add_locked({name, inode});
}

void OwnNames::confirm(const std::string& name, ino_t inode) {
  const std::scoped_lock guard{lock_};
  const auto is_it = [&](const Name& known) { return known.text == name && known.inode == inode; };
  if (std::none_of(names_.begin(), names_.end(), is_it)) add_locked({name, inode});
}

void OwnNames::add_locked(Name name) {
  names_.push_back(std::move(name));
  tell_keeper(names_.back());
  if (!std::exchange(at_exit_, true)) std::atexit(unlink_own_names);
}

// The first one starts the keeper; and so does one who finds that somebody has killed it.
void OwnNames::tell_keeper(const Name& name) noexcept {
  if (keeper_.keep(name.text.c_str(), name.inode) != NameKeeper::Told::Gone || !keeper_.start()) return;
  for (const Name& known : names_) (void)keeper_.keep(known.text.c_str(), known.inode);
}

template <class Is>
void OwnNames::strike(Is is) noexcept {
  const std::scoped_lock guard{lock_};
  std::erase_if(names_, [&](const Name& known) {
    if (!is(known)) return false;
    keeper_.forget(known.inode);
    return true;
  });
}

void OwnNames::remove(const std::string& name) noexcept {
  strike([&](const Name& known) { return known.text == name; });
}

void OwnNames::take_back(const std::string& name, ino_t inode) noexcept {
  unlink_if_still_of(name, inode);
  strike([&](const Name& known) { return known.inode == inode && known.text == name; });
}

void OwnNames::unlink_all() noexcept {
  const std::scoped_lock guard{lock_};
  for (const Name& name : names_) unlink_if_still_of(name.text, name.inode);
  names_.clear();
  keeper_.leave();
}

void OwnNames::after_fork(bool in_child) noexcept {
  if (in_child) {
    names_.clear();
    keeper_.leave();  // a copy: the keeper is to learn of the end of the one who started it
    keeper_ = NameKeeper{};
  }
  lock_.unlock();
}

void unlink_own_names() noexcept { OwnNames::all().unlink_all(); }

}  // namespace weft::process::detail
