// weft: a pointer cannot be sent to another process
#include <weft/process/sendable.hpp>
#include <vector>

void send(weft::process::Outgoing& out, const std::vector<int*>& values) { out(values); }
