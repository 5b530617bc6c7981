#include <weft/process/sendable.hpp>

#include <string>

#include <weft/base/error.hpp>

#include "process/memory/memory.hpp"

namespace weft::detail {

void fail_received(const char* what) {
  throw ProtocolError{std::string{"receiving a value: "} + what + "; was it sent as another type?"};
}

void expect_large(void* begin, std::size_t size) noexcept { process::detail::advise_huge_pages(begin, size); }

}  // namespace weft::detail
