// weft: this type cannot be sent to another process: a closure with captures
#include <weft/process/sendable.hpp>

void send(weft::process::Outgoing& out, int captured) {
  out([captured] { return captured; });
}
