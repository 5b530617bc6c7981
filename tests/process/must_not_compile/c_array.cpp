// weft: an aggregate with a C array cannot be sent to another process
#include <weft/process/sendable.hpp>

struct Record {
  int number;
  char name[16];
};
void send(weft::process::Outgoing& out, const Record& value) { out(value); }
