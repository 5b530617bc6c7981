#include <weft/process/sendable.hpp>

#include <string>

#include <weft/base/error.hpp>

namespace weft::detail {

void fail_received(const char* what) {
  throw ProtocolError{std::string{"receiving a value: "} + what + "; was it sent as another type?"};
}

}  // namespace weft::detail
