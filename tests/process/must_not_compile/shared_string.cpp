// weft: only trivially copyable types can lie in shared memory
#include <string>

#include <weft/process/array.hpp>

void share() { weft::process::Array<std::string> names(10); }
