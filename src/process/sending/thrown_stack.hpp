#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>

#include <weft/process/parcel.hpp>

#include "base/remote_stack.hpp"

namespace weft::detail {

/// Sends the calls that led to a throw (port::ThrowTrace), and in words what is nested in what was thrown. Looks nothing up: addresses go as
/// module and offset, and a receiver that never asks never pays.
void send_stack(process::Outgoing& out, std::span<const std::uintptr_t> callers, const std::string& nested);
/// Null: nothing is known. Throws: ProtocolError.
[[nodiscard]] std::shared_ptr<const RemoteStack> receive_stack(process::Incoming& in);

/// The calls, a line each, as RemoteError::stack() shows them.
[[nodiscard]] std::string describe_calls(std::span<const std::uintptr_t> callers);
/// Lines about exceptions nested in this one, and about the process that one of them came from; empty: there are none.
[[nodiscard]] std::string describe_nested(const std::exception_ptr& failure);

}  // namespace weft::detail
