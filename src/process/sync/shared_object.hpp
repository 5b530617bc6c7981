#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <weft/base/label.hpp>
#include <weft/base/owned_fd.hpp>
#include <weft/process/parcel.hpp>

#include "process/memory/memory.hpp"

namespace weft::process::detail {

/// The memory of one small object that processes share, as one of them has it mapped: an anonymous file, which lives
/// as long as any process has it open. A child of fork() inherits it; others are sent its descriptor.
///
/// Errors: OSError when there is no memory or no descriptor to be had; receive(): ProtocolError for what is no such
/// object.
class SharedObject {
 public:
  enum class Kind : std::uint32_t { Lock = 1, RLock, Semaphore, Condition, Event, Barrier };

  /// Zeroed, `bytes` of it. `name` is copied into it, cut to kMostName bytes; null: unnamed.
  [[nodiscard]] static std::shared_ptr<SharedObject> make(Kind kind, std::size_t bytes, const char* name);
  [[nodiscard]] static std::shared_ptr<SharedObject> receive(Incoming& in, Kind kind, std::size_t least_bytes);
  void send(Outgoing& out) const;

  /// The descriptor of an object in which processes are known by their stamps. Throws ProtocolError: it comes from where stamps mean
  /// something else. `what`, for that error: "a process Lock".
  static void send_file(Outgoing& out, int fd);
  [[nodiscard]] static OwnedFd receive_file(Incoming& in, const std::string& what);

  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;

  [[nodiscard]] void* bytes() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept;
  template <class State>
  [[nodiscard]] State& as() const noexcept {
    return *static_cast<State*>(bytes());
  }
  /// Null: unnamed. As long as this lives.
  [[nodiscard]] const char* name() const noexcept;
  [[nodiscard]] Label label(std::source_location site = {}) const noexcept { return {name(), site}; }

  static constexpr std::size_t kMostName = 47;

 private:
  struct Header;

  SharedObject(OwnedFd fd, std::size_t size);
  [[nodiscard]] Header& header() const noexcept;

  OwnedFd fd_;
  Mapping mapping_;
};

}  // namespace weft::process::detail
