#include <weft/detail/socket_way.hpp>

#include <weft/net/socket.hpp>

namespace weft::detail {

Descriptor* SocketWay::find() const noexcept { return socket_.descriptor(); }

std::string SocketWay::object() const { return socket_.name(); }

}  // namespace weft::detail
