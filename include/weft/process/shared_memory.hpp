#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <weft/detail/shared_type.hpp>
#include <weft/process/parcel.hpp>

namespace weft::process {

namespace detail {
class Segment;
}  // namespace detail

/// How named shared memory is made.
struct SharedMemoryOptions {
  /// Whether the name stays when the creator ends; else weft unlinks it then, if unlink() was not called before.
  bool keep = false;
  /// Who may open it: the user alone, as in Python.
  mode_t mode = 0600;
};

/// A block of memory that several processes see.
///
/// Anonymous memory has no name that could be left behind or guessed: it goes to other processes as an argument (it is Sendable, the
/// bytes stay where they are), or is inherited by fork, and it vanishes with the last process that has it, however that one ends.
/// Named memory is for programs that do not know each other, Python among them: the names are those of Python's
/// multiprocessing.shared_memory, with or without the slash in front, and so are the sizes. A SharedMemory is a handle: copies
/// are the same memory.
///
/// Semantics:     after Python's SharedMemory; differs: anonymous by default; pages are reserved when it is made, so that a full /dev/shm
///                is an error there and then, and not a SIGBUS in whoever writes; copies of a handle count, and the mapping lives as
///                long as one of them does, close() being that of one handle.
/// End of a name: unlink(), or the end of the process that created it, unless `keep`: exit() removes it, or the keeper if there was no
///                exit(), but _exit(), exec, a signal or kill -9. The keeper is a process of its own, almost without memory, which
///                the first such name starts, by way of a child that ends at once, and which ends with the creator. There is none where a
///                process has no /proc, or may execute no memory (vm.memfd_noexec=2), nor for one that adopts orphans (the first of a
///                container, a subreaper), nor on processors other than x86-64 and AArch64; and it may be killed together with its creator
///                (kill -9 of a whole control group). Then the name of a killed creator stays. A program that turns itself into a
///                daemon, or closes descriptors it does not know, creates its names after that. As Python's resource tracker does;
///                differs: who attaches has no part in it. What Python attaches to (before 3.13, or with track=True) its
///                tracker unlinks when that Python program ends, also when others still use it. There:
///                multiprocessing.resource_tracker.unregister(shm._name, "shared_memory") after attaching, or track=False from 3.13 on.
///                What is mapped stays mapped either way.
/// Thread-safety: the memory is what its users make of it; a handle, as an int is. No lock is in it: process::Value and Array have one.
/// Blocking:      never waits for anybody. Making it takes time for each page, and the first name some 0.4 ms, for its keeper.
/// Errors:        OSError that names the memory: EEXIST when a name to be created is there, ENOENT when one to attach to is not, ENOSPC and
///                ENOMEM when there is no room, with what to do; std::invalid_argument for a size of 0 or a name that cannot be one.
/// Cost:          a descriptor and a mapping each; with a name that does not stay, a descriptor and a process for all of them.
class SharedMemory {
 public:
  /// None: size() is 0.
  SharedMemory() noexcept = default;
  // No moves: what was moved from would still show the memory.
  SharedMemory(const SharedMemory&) = default;
  SharedMemory& operator=(const SharedMemory&) = default;
  /// Anonymous, all zero.
  explicit SharedMemory(std::size_t size);

  /// A name that is new, all zero. An empty one: made up as Python does, "psm_" and eight digits.
  [[nodiscard]] static SharedMemory create(std::string_view name, std::size_t size, SharedMemoryOptions options = {});
  /// What somebody created under the name.
  [[nodiscard]] static SharedMemory attach(std::string_view name);
  /// Removes a name. False: there is none. Who has the memory keeps it.
  static bool unlink(std::string_view name);

  /// The bytes; empty after close().
  [[nodiscard]] std::span<std::byte> buffer() const noexcept { return bytes_; }
  [[nodiscard]] std::byte* data() const noexcept { return bytes_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  /// Without a slash; empty when it is anonymous.
  [[nodiscard]] const std::string& name() const noexcept;
  /// -1 after close(). It stays this handle's.
  [[nodiscard]] int descriptor() const noexcept;
  [[nodiscard]] explicit operator bool() const noexcept { return segment_ != nullptr; }

  /// The memory from `offset` on as `count` of T; all that fit when no count is given. T: trivially copyable, without pointers.
  /// Throws: std::out_of_range: more than there is; std::invalid_argument: the offset is not aligned for T.
  template <class T>
  [[nodiscard]] std::span<T> as(std::size_t offset = 0, std::size_t count = std::dynamic_extent) const {
    weft::detail::require_shareable<std::remove_const_t<T>>();
    const std::size_t found = check_view(offset, count, sizeof(T), alignof(T));
    return {reinterpret_cast<T*>(bytes_.data() + offset), found};
  }

  /// This handle gives it up. The memory is unmapped when no other handle of this process has it.
  void close() noexcept;
  /// Removes the name, for everybody; nothing else changes. Nothing when it is anonymous, or was removed before.
  void unlink();

 private:
  friend struct Transfer<SharedMemory>;
  explicit SharedMemory(std::shared_ptr<detail::Segment> segment) noexcept;

  [[nodiscard]] std::size_t check_view(std::size_t offset, std::size_t count, std::size_t size, std::size_t alignment) const;

  std::shared_ptr<detail::Segment> segment_;
  std::span<std::byte> bytes_;
};

/// The descriptor goes along: the receiver needs no name, and no permission.
template <>
struct Transfer<SharedMemory> {
  static void send(Outgoing& out, const SharedMemory& memory);
  static SharedMemory receive(Incoming& in);
};

}  // namespace weft::process
