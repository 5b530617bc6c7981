// weft: a view cannot be sent to another process
#include <weft/process/sendable.hpp>
#include <span>

std::span<int> receive(weft::process::Incoming& in) { return in.receive<std::span<int>>(); }
