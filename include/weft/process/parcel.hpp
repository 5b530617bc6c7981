#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include <weft/base/owned_fd.hpp>

namespace weft {
class Socket;
}  // namespace weft

namespace weft::process {

namespace detail {
class LargeBlock;
}  // namespace detail

/// How values of type T are sent to another process. A type of its own kind (a lock in shared memory, a socket) specializes it:
///
///     template <> struct weft::process::Transfer<Thing> {
///       static void send(Outgoing& out, const Thing& thing);
///       static Thing receive(Incoming& in);
///     };
///
/// Everything else goes by <weft/process/sendable.hpp>, which also says what may be sent.
template <class T>
struct Transfer;

/// What is being sent: bytes, and descriptors beside them. Also the archive that a type's own serialize() or save() writes to.
///
/// Thread-safety: none of its own.
/// Errors:        std::bad_alloc; attach() as OwnedFd::duplicate().
/// Cost:          bytes are copied once, to `room` as long as they fit there, else to the heap.
class Outgoing {
 public:
  using is_saving = std::true_type;
  using is_loading = std::false_type;

  Outgoing() = default;
  /// The first bytes go to `room`, which the caller keeps; the whole moves to the heap when it becomes more.
  explicit Outgoing(std::span<std::byte> room) noexcept : begin_{room.data()}, capacity_{room.size()} {}
  Outgoing(const Outgoing&) = delete;
  Outgoing& operator=(const Outgoing&) = delete;
  ~Outgoing() {
    if (block_) drop_block();
  }

  void write(const void* bytes, std::size_t size) {
    if (size > capacity_ - size_) return write_beyond(bytes, size);
    if (size != 0) std::memcpy(begin_ + size_, bytes, size);
    size_ += size;
  }

  /// So many more bytes will come: they are copied once then.
  void reserve(std::size_t size) {
    if (size > capacity_ - size_) grow_for(size);
  }

  /// Sends a descriptor, which is duplicated: `fd` may be closed at once.
  void attach(int fd) { attach(OwnedFd::duplicate(fd)); }
  void attach(OwnedFd fd) { descriptors_.push_back(std::move(fd)); }

  /// Sends each of them, as Cereal's and Boost's archives do. What may be sent: <weft/process/sendable.hpp>.
  template <class... T>
  Outgoing& operator()(const T&... values);
  template <class T>
  Outgoing& operator&(const T& value) {
    return (*this)(value);
  }

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {begin_, size_}; }
  [[nodiscard]] const std::vector<OwnedFd>& descriptors() const noexcept { return descriptors_; }
  [[nodiscard]] std::vector<OwnedFd> take_descriptors() noexcept { return std::move(descriptors_); }
  /// Whether all of it is still in `room`.
  [[nodiscard]] bool in_room() const noexcept { return heap_ == nullptr && block_ == nullptr; }

  /// For who sends it by a block (src/process/large_block.hpp): what becomes so large that it is worth it goes to one at once, instead of
  /// to the heap.
  void put_large_in_block() noexcept { large_in_block_ = true; }
  [[nodiscard]] bool in_block() const noexcept { return block_ != nullptr; }
  /// The block, of the size of bytes(); they move to one if they are not in one. Nothing more is written then.
  [[nodiscard]] detail::LargeBlock& block();
  /// The same, and the caller's: bytes() is empty from then on.
  [[nodiscard]] detail::LargeBlock take_block();
  /// Lets go of the block, if there is one, and so of bytes().
  void drop_block() noexcept;

 private:
  void write_beyond(const void* bytes, std::size_t size);
  void grow_for(std::size_t size);
  void grow(std::size_t size);
  void grow_block(std::size_t size);

  std::byte* begin_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::unique_ptr<std::byte[]> heap_;
  detail::LargeBlock* block_ = nullptr;  // owned
  bool large_in_block_ = false;
  std::vector<OwnedFd> descriptors_;
};

/// What has arrived. Also the archive that a type's own serialize() or load() reads from.
///
/// Thread-safety: none of its own.
/// Errors:        ProtocolError: it ends before the value does, or holds what the value cannot be. Bytes are not trusted: a size is
///                believed only as far as there are bytes.
class Incoming {
 public:
  using is_saving = std::false_type;
  using is_loading = std::true_type;

  /// The caller keeps the bytes as long as this lives.
  explicit Incoming(std::span<const std::byte> bytes, std::vector<OwnedFd> descriptors = {}) noexcept
      : rest_{bytes}, descriptors_{std::move(descriptors)} {}
  /// What a block brought, which the caller keeps as long as this lives.
  [[nodiscard]] static Incoming from_block(const detail::LargeBlock& block, std::vector<OwnedFd> descriptors = {}) noexcept;
  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;

  void read(void* to, std::size_t size) {
    const auto bytes = view(size);
    if (block_) return read_block(to, bytes);
    if (size != 0) std::memcpy(to, bytes.data(), size);
  }
  /// The next bytes, in place.
  [[nodiscard]] std::span<const std::byte> view(std::size_t size) {
    if (size > rest_.size()) fail_truncated(size);
    const auto bytes = rest_.first(size);
    rest_ = rest_.subspan(size);
    return bytes;
  }
  /// The next descriptor, in the order of attach().
  [[nodiscard]] OwnedFd take_descriptor();
  [[nodiscard]] std::size_t remaining() const noexcept { return rest_.size(); }

  /// The next value.
  template <class T>
  [[nodiscard]] T receive();
  template <class... T>
  Incoming& operator()(T&... values);
  template <class T>
  Incoming& operator&(T& value) {
    return (*this)(value);
  }

 private:
  Incoming(std::span<const std::byte> bytes, const detail::LargeBlock& block, std::vector<OwnedFd> descriptors) noexcept;

  [[noreturn]] void fail_truncated(std::size_t wanted) const;
  void read_block(void* to, std::span<const std::byte> bytes) const;

  std::span<const std::byte> rest_;
  const detail::LargeBlock* block_ = nullptr;
  std::vector<OwnedFd> descriptors_;
  std::size_t taken_ = 0;
};

/// A descriptor goes along, duplicated; an empty one stays empty.
template <>
struct Transfer<OwnedFd> {
  static void send(Outgoing& out, const OwnedFd& fd);
  static OwnedFd receive(Incoming& in);
};

/// The socket goes along, duplicated: it stays open until both sides have closed it. Timeouts set on it stay behind.
template <>
struct Transfer<Socket> {
  static void send(Outgoing& out, const Socket& socket);
  static Socket receive(Incoming& in);
};

}  // namespace weft::process
