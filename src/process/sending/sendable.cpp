#include <weft/process/sendable.hpp>

#include <string>

#include <weft/base/error.hpp>

#include "process/memory/memory.hpp"

namespace weft::detail {

void fail_received(const char* what) {
  throw ProtocolError{std::string{"receiving a value: "} + what + "; was it sent as another type?"};
}

void fail_unread(std::size_t bytes) {
  throw ProtocolError{"receiving a value: " + std::to_string(bytes) +
                      " bytes of what was sent were not read; does the load() of a type read what its save() writes?"};
}

void expect_large(void* begin, std::size_t size) noexcept { process::detail::advise_huge_pages(begin, size); }

}  // namespace weft::detail
