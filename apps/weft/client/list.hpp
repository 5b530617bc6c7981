#pragma once

#include <functional>
#include <string>

#include "base/endpoint.hpp"
#include "base/exit_code.hpp"
#include "client/connection.hpp"
#include "client/options.hpp"

namespace weft::app {

/// Asks for a listing and calls `found` for each entry, as it comes. Returns: how many entries were hidden.
/// Throws: Refusal; what ServerConnection throws.
std::uint64_t fetch_listing(ServerConnection& connection, const std::string& folder, bool recursive,
                            const std::function<void(const Entry&)>& found);

struct ListOptions {
  bool recursive = false;
  bool is_long = false;  // sizes and times too
};

/// `weft ls`: prints the listing.
[[nodiscard]] ExitCode list_command(const Endpoint& target, const ClientOptions& options,
                                    const ListOptions& list);

}  // namespace weft::app
