// weft: a view cannot be sent to another process
#include <weft/process/sendable.hpp>
#include <map>
#include <string_view>

void send(weft::process::Outgoing& out, const std::map<std::string_view, int>& value) { out(value); }
