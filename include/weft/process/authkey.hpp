#pragma once

#include <string>

namespace weft::process {

/// The key by which connections of this process and its children know each other: 32 random bytes, made at the first use or the first
/// start of a process; children have their parent's. After multiprocessing.current_process().authkey.
/// Thread-safety: from anywhere. Errors: OSError when the system has no random bytes.
[[nodiscard]] std::string authkey();
/// For this process and the children it starts from now on.
void set_authkey(std::string key);

}  // namespace weft::process
