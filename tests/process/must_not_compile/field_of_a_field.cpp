// weft: a view cannot be sent to another process
#include <weft/process/sendable.hpp>
#include <string_view>
#include <vector>

struct Inner {
  int number;
  std::string_view text;
};
struct Outer {
  std::vector<Inner> all;
};
void send(weft::process::Outgoing& out, const Outer& value) { out(value); }
