#include <weft/detail/queue_handle.hpp>

#include <stdexcept>
#include <string>

#include <weft/base/error.hpp>

#include "process/sync/shared_object.hpp"

namespace weft::process::detail {

namespace {

std::string called(const char* name) {
  return name ? std::string{"queue \""} + name + '"' : std::string{"a queue"};
}

}  // namespace

void fail_descriptors_in_queue(const char* name) {
  throw std::invalid_argument{
      "put into " + called(name) +
      ": the value holds a descriptor, and descriptors do not go through shared memory; send it through a "
      "Connection, or as an argument of the process"};
}

void fail_closed_queue(const char* operation) {
  throw InvalidStateError{std::string{operation} + " a queue: this handle of it was closed or moved from"};
}

void fail_rest_in_queue(const char* name, std::size_t bytes) {
  throw ProtocolError{"get from " + called(name) + ": " + std::to_string(bytes) +
                      " bytes of the item were not read; do its save() and its load() agree?"};
}

void send_queue_file(Outgoing& out, int file) { SharedObject::send_file(out, file); }

OwnedFd receive_queue_file(Incoming& in) { return SharedObject::receive_file(in, "a queue"); }

// FNV-1a: the same in every build of a program.
std::uint64_t queue_type(char kind, std::string_view item) noexcept {
  std::uint64_t hash = 0xCBF29CE484222325;
  const auto add = [&](char c) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3; };
  add(kind);
  for (const char c : item) add(c);
  return hash;
}

}  // namespace weft::process::detail
