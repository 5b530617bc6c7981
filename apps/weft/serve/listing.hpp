#pragma once

#include <string>
#include <vector>

#include "proto/messages.hpp"
#include "store/root.hpp"
#include "xfer/wire.hpp"

namespace weft::app {

struct FolderListing {
  std::vector<Entry> entries;  // by name; their names are bare
  std::uint64_t hidden = 0;    // neither file nor folder, or with a name that cannot travel
};

/// What is in one folder. Links, pipes, devices and the private folder are not shown.
/// Throws: Refusal. Blocks in the kernel.
[[nodiscard]] FolderListing list_folder(const Root& root, const std::string& name);

/// Answers a List: one or more Entries, for the whole tree if asked. Throws: Refusal before the first; a folder that
/// fails later is counted as hidden.
void send_listing(const Root& root, Wire& wire, const List& request);

}  // namespace weft::app
