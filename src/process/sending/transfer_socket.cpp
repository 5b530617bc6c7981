#include <weft/base/error.hpp>
#include <weft/net/socket.hpp>
#include <weft/process/parcel.hpp>

namespace weft::process {

void Transfer<Socket>::send(Outgoing& out, const Socket& socket) { out.attach(socket.fd()); }

Socket Transfer<Socket>::receive(Incoming& in) {
  const int fd = in.take_descriptor().release();
  try {
    return Socket::adopt(fd);
  } catch (const OSError&) {  // it is no socket, and still ours
    const OwnedFd close_it{fd};
    throw;
  }
}

}  // namespace weft::process
