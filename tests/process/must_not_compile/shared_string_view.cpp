// weft: a view or reference in shared memory points to something that another process does not have
#include <string_view>

#include <weft/process/value.hpp>

auto share(std::string_view text) { return weft::process::Value<std::string_view>{text}; }
