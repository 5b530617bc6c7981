#pragma once

#include <weft/detail/selectable.hpp>

namespace weft {

class Socket;

namespace detail {

class Descriptor;

/// What select() waits for at a socket: that a receive or a send would not wait, as poll(2) sees it.
class SocketWay : public Selectable {
 public:
  enum class Wanted : bool { Readable, Writable };

  SocketWay(const Socket& socket, Wanted wanted) : socket_{socket}, wanted_{wanted} { outside = true; }

  bool try_now() override;
  bool enlist() noexcept override;
  void withdraw() noexcept override;
  bool accept(Outcome how) noexcept override;

 private:
  [[nodiscard]] bool poll_once() noexcept;

  const Socket& socket_;
  const Wanted wanted_;
  Descriptor* descriptor_ = nullptr;  // while enlisted: used, so that its number stays what it is
  int failure_ = 0;                   // of enlist() or accept(), for try_now() to throw
};

}  // namespace detail

}  // namespace weft
