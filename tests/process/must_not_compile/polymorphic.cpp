// weft: an object of a polymorphic class cannot be sent to another process
#include <weft/process/sendable.hpp>

struct Shape {
  virtual ~Shape() = default;
};
void send(weft::process::Outgoing& out, const Shape& value) { out(value); }
