#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <span>
#include <string>

#include <weft/process/parcel.hpp>

namespace weft::detail {

/// Sends an exception: one of exactly a standard type, or of weft's, as itself; any other as its type and what(). Never the values
/// that a type of the user's may hold beside. With it the calls that led to the throw (port::ThrowTrace). Null: what was caught is of
/// another language.
void send_failure(process::Outgoing& out, const std::exception_ptr& failure, std::span<const std::uintptr_t> callers = {});

/// The exception, as far as that type is known, with a RemoteError nested in it that names `place`; otherwise that RemoteError alone.
/// Throws: ProtocolError.
[[nodiscard]] std::exception_ptr receive_failure(process::Incoming& in, const std::function<std::string()>& place);

/// A type's name as C++ writes it.
[[nodiscard]] std::string readable_type(const char* mangled);

}  // namespace weft::detail
