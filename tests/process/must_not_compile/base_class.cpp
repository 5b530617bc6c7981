// weft: an aggregate with a base class cannot be sent to another process
#include <weft/process/sendable.hpp>

struct Base {
  int number;
};
struct Derived : Base {
  int other;
};
void send(weft::process::Outgoing& out, const Derived& value) { out(value); }
