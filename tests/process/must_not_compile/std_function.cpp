// weft: this type cannot be sent to another process: .* a std::function
#include <weft/process/sendable.hpp>
#include <functional>

void send(weft::process::Outgoing& out, const std::function<void()>& value) { out(value); }
