#pragma once

#include <string>
#include <vector>

namespace weft::patch {

/// About libweft-patch.so, which makes blocking calls of unmodified C libraries cooperative on fibers
/// (docs/patching.md): preloaded or linked, it needs no call. These tell a program whether it is there.
///
/// Thread-safety: from anywhere, at any time; before main() it may not have been looked at yet.

/// Whether it is in this process and serves the fibers of this weft.
[[nodiscard]] bool active() noexcept;
/// Calls that it should have patched and could not, because the program or a library loaded earlier defines them
/// itself. It has said so at start, too. Empty when it is not active.
[[nodiscard]] std::vector<std::string> unpatched();

}  // namespace weft::patch
