// weft: a smart pointer cannot be sent to another process
#include <weft/process/sendable.hpp>
#include <memory>

void send(weft::process::Outgoing& out, const std::shared_ptr<int>& value) { out(value); }
