// weft: a pointer cannot be sent to another process
#include <weft/process/sendable.hpp>

void send(weft::process::Outgoing& out, int* value) { out(value); }
