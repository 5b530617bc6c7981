#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <weft/base/deadline.hpp>
#include <weft/base/owned_fd.hpp>
#include <weft/process/connection.hpp>
#include <weft/sync/lock.hpp>

#include "engine/descriptor.hpp"

namespace weft::process::detail {

/// What a Connection holds: its descriptor, who sends and who receives, and how far the message that is being received
/// has come.
///
/// The frame is CPython's: the length as four big-endian bytes, or -1 and then eight; then the message.
class Link {
 public:
  using Direction = weft::detail::Descriptor::Direction;

  Link(OwnedFd fd, Ways ways);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link() { descriptor_->dispose(); }

  struct Message {
    std::string bytes;
    std::vector<OwnedFd> descriptors;
    bool lost_descriptors = false;  // there was no room for them in this process's table
  };

  /// Dropped ones are never this process's: a peer that nobody trusts yet could otherwise fill its table.
  enum class Descriptors : bool { Drop, Take };

  void send(std::span<const std::byte> message, std::span<const OwnedFd> descriptors, Deadline deadline);
  [[nodiscard]] Message receive(Deadline deadline, std::uint64_t most_bytes, Descriptors descriptors);
  [[nodiscard]] std::size_t receive_into(std::span<std::byte> buffer, Deadline deadline);
  void send_descriptor(int fd, Deadline deadline);
  [[nodiscard]] OwnedFd receive_descriptor(Deadline deadline);
  [[nodiscard]] bool poll(Deadline deadline);

  void close() noexcept { descriptor_->close(); }
  [[nodiscard]] int fd() const noexcept;
  [[nodiscard]] bool readable() const noexcept {
    return readable_.load(std::memory_order_relaxed) && fd() >= 0;
  }
  [[nodiscard]] bool writable() const noexcept { return writable_ && fd() >= 0; }
  [[nodiscard]] bool within_message() const noexcept { return partial_.header_bytes != 0; }
  [[nodiscard]] Ways ways() const noexcept;
  [[nodiscard]] weft::detail::Descriptor* descriptor() const noexcept { return descriptor_; }
  [[nodiscard]] std::string name() const;

 private:
  class Call;
  enum class Carrier : std::uint8_t { Unix, OtherSocket, File };

  static constexpr std::size_t kShortHeader = 4, kLongHeader = 12;

  /// What has come of the message in progress: kept when a time limit or a kill interrupts its receiver.
  struct Partial {
    std::array<unsigned char, kLongHeader> header;
    std::size_t header_bytes = 0;
    std::optional<std::uint64_t> length;
    std::string body;  // as long as memory was made for it
    std::size_t body_bytes = 0;
    std::vector<OwnedFd> descriptors;
    bool lost_descriptors = false;
  };

  [[nodiscard]] static Carrier carrier_of(int fd);
  [[nodiscard]] static OwnedFd prepared(OwnedFd fd, Carrier carrier);
  void settle_in_this_process() noexcept;
  void receive_header(Call& call, std::uint64_t most_bytes, Descriptors descriptors);
  void receive_body(Call& call);
  [[nodiscard]] ssize_t receive_some(Call& call, void* to, std::size_t size);
  [[nodiscard]] ssize_t receive_with_descriptors(int fd, void* to, std::size_t size);
  [[nodiscard]] Message take_message() noexcept;
  [[nodiscard]] std::optional<std::uint64_t> length_in(const std::array<unsigned char, kLongHeader>& header,
                                                       std::size_t bytes);
  [[nodiscard]] ssize_t check_received(const Call& call, ssize_t code) const;
  void require_readable(const char* operation) const;
  void require_whole(const Call& call) const;
  void stop_receiving() noexcept;
  void tear_stream(int fd) noexcept;

  // Fixed after construction.
  const Carrier carrier_;
  bool writable_ = true;
  weft::detail::Descriptor* descriptor_ = nullptr;
  // The process in which the locks mean something, and the partial message is a receiver's: twice its number, plus one
  // while its first user makes them so.
  std::atomic<std::uint64_t> process_;
  std::atomic<bool> readable_{true};  // cleared by a message that is too long
  weft::Lock receiving_{"receiving end of a connection"};
  weft::Lock sending_{"sending end of a connection"};
  // Guarded by receiving_.
  Partial partial_;
  bool parent_has_rest_ = false;  // of a message that it had begun to receive when it forked this process
  unsigned found_empty_ = 0;  // how often, of late, nothing was there yet when a thread came to receive
  // Guarded by sending_.
  bool torn_ = false;
  // How many messages in a row did not wait; such a fiber would keep its worker from all others. Approximate.
  std::atomic<std::uint16_t> streak_{0};
};

}  // namespace weft::process::detail
