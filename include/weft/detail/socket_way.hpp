#pragma once

#include <string>

#include <weft/detail/descriptor_way.hpp>

namespace weft {

class Socket;

namespace detail {

/// What select() waits for at a socket.
class SocketWay : public DescriptorWay {
 public:
  SocketWay(const Socket& socket, Wanted wanted) : DescriptorWay{wanted}, socket_{socket} {}

 private:
  [[nodiscard]] Descriptor* find() const noexcept override;
  [[nodiscard]] std::string object() const override;

  const Socket& socket_;
};

}  // namespace detail

}  // namespace weft
