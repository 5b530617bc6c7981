#pragma once

#include <string>
#include <vector>

#include <weft/base/deadline.hpp>
#include <weft/net/address.hpp>
#include <weft/net/connect.hpp>
#include <weft/net/socket.hpp>

namespace weft::detail {

/// What create_connection() does once it knows the addresses, which tests want to choose. `target` is for messages;
/// `addresses` are in the order of the system's preference, at least one. Of the options, the time limits are ignored.
[[nodiscard]] Socket connect_to_any(std::string target, const std::vector<Address>& addresses,
                                    const ConnectOptions& options, Deadline deadline);

}  // namespace weft::detail
