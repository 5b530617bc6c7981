#pragma once

#include <weft/process/parcel.hpp>

namespace weft::detail {

/// Sends a function as the identity of its module (the build-id of program or library) and its offset there.
/// Cost: two comparisons, for a function of the program itself; the list of loaded modules is read once, and again when a function is in none.
void send_function(process::Outgoing& out, void (*function)());

/// The same function in this process. Throws ProtocolError: the module is not loaded here, or there is no code at the offset.
[[nodiscard]] void (*receive_function(process::Incoming& in))();

}  // namespace weft::detail
