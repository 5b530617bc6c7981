#include <weft/process/connection.hpp>

#include <sys/socket.h>

#include <cerrno>

#include "port/socket_calls.hpp"
#include "process/connection/link.hpp"

namespace weft::process {

namespace detail {

weft::detail::Descriptor* ConnectionWay::find() const noexcept {
  return connection_.link_ ? connection_.link_->descriptor() : nullptr;
}

std::string ConnectionWay::object() const {
  return connection_.name();
}

}  // namespace detail

Connection::Connection() noexcept = default;
Connection::Connection(OwnedFd fd, Ways ways) : link_{std::make_unique<detail::Link>(std::move(fd), ways)} {}
Connection::Connection(Connection&& other) noexcept = default;
Connection& Connection::operator=(Connection&& other) noexcept = default;
Connection::~Connection() = default;

detail::Link& Connection::link(const char* operation) const {
  if (!link_) throw OSError{EBADF, operation, "a connection that holds nothing"};
  return *link_;
}

void Connection::send_bytes(std::span<const std::byte> message, Deadline deadline) {
  link("send to").send(message, {}, deadline);
}

void Connection::send_bytes(std::string_view message, Deadline deadline) {
  send_bytes(std::as_bytes(std::span{message}), deadline);
}

std::string Connection::recv_bytes(Deadline deadline, std::uint64_t most_bytes) {
  return link("receive from").receive(deadline, most_bytes, detail::Link::Descriptors::Drop).bytes;
}

std::size_t Connection::recv_bytes_into(std::span<std::byte> buffer, Deadline deadline) {
  return link("receive from").receive_into(buffer, deadline);
}

void Connection::send_parcel(const Outgoing& out, Deadline deadline) {
  link("send to").send(out.bytes(), out.descriptors(), deadline);
}

Connection::Parcel Connection::recv_parcel(Deadline deadline, std::uint64_t most_bytes) {
  detail::Link::Message message = link("receive from").receive(deadline, most_bytes, detail::Link::Descriptors::Take);
  if (message.lost_descriptors) {
    throw OSError{EMFILE, "receive from",
                  name() + ": the descriptors in the value (raise the limit, ulimit -n, or close some)"};
  }
  return {std::move(message.bytes), std::move(message.descriptors)};
}

void Connection::fail_left_over(std::size_t bytes) const {
  throw ProtocolError{"receive from " + name() + ": " + std::to_string(bytes) +
                      " bytes are left over behind the value; was it sent as another type?"};
}

void Connection::send_descriptor(int fd, Deadline deadline) {
  link("send a descriptor to").send_descriptor(fd, deadline);
}

OwnedFd Connection::recv_descriptor(Deadline deadline) {
  return link("receive a descriptor from").receive_descriptor(deadline);
}

bool Connection::poll(Deadline deadline) {
  return link("poll").poll(deadline);
}

void Connection::close() noexcept {
  if (link_) link_->close();
}

bool Connection::closed() const noexcept {
  return fileno() < 0;
}
int Connection::fileno() const noexcept {
  return link_ ? link_->fd() : -1;
}
bool Connection::readable() const noexcept {
  return link_ && link_->readable();
}
bool Connection::writable() const noexcept {
  return link_ && link_->writable();
}
std::string Connection::name() const {
  return link_ ? link_->name() : "a connection that holds nothing";
}

void Transfer<Connection>::send(Outgoing& out, const Connection& connection) {
  detail::Link& link = connection.link("send the connection");
  if (link.within_message()) {
    throw InvalidStateError{"send the connection " + link.name() +
                            " to a process: a message has been received in part"};
  }
  const int fd = link.fd();
  if (fd < 0) throw OSError{EBADF, "send the connection", "which has been closed"};
  out.attach(fd);
  const Ways ways = link.ways();
  out.write(&ways, sizeof ways);
}

Connection Transfer<Connection>::receive(Incoming& in) {
  OwnedFd fd = in.take_descriptor();
  Ways ways;
  in.read(&ways, sizeof ways);
  if (ways > Ways::Send) throw ProtocolError{"receiving a connection: what came is none"};
  return Connection{std::move(fd), ways};
}

std::pair<Connection, Connection> pipe(bool duplex) {
  int fds[2];
  // Blocking, for another program that is given one of them: weft asks MSG_DONTWAIT of every call.
  const int result = port::sys_socketpair(AF_UNIX, SOCK_STREAM, fds, port::Blocking::Yes);
  if (result < 0) throw OSError{-result, "make a pipe"};
  OwnedFd first{fds[0]};
  OwnedFd second{fds[1]};
  if (duplex) return {Connection{std::move(first)}, Connection{std::move(second)}};
  (void)port::sys_shutdown(first.get(), SHUT_WR);
  return {Connection{std::move(first), Ways::Receive}, Connection{std::move(second), Ways::Send}};
}

}  // namespace weft::process
