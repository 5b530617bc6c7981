// weft: this type cannot be sent to another process: .* a weft::Lock
#include <weft/process/sendable.hpp>
#include <weft/sync/lock.hpp>

void send(weft::process::Outgoing& out, const weft::Lock& lock) { out(lock); }
