#pragma once

#include <exception>
#include <functional>
#include <string>

#include <weft/process/parcel.hpp>

namespace weft::detail {

/// Sends an exception: one of exactly a standard type, or of weft's, as itself; any other as its type and what(). Never the values
/// that a type of the user's may hold beside.
void send_failure(process::Outgoing& out, const std::exception_ptr& failure);

/// The exception, as far as that type is known; a RemoteError that names `place` otherwise. Throws: ProtocolError.
[[nodiscard]] std::exception_ptr receive_failure(process::Incoming& in, const std::function<std::string()>& place);

/// A type's name as C++ writes it.
[[nodiscard]] std::string readable_type(const char* mangled);

}  // namespace weft::detail
