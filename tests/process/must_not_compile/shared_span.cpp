// weft: a view or reference in shared memory points to something that another process does not have
#include <span>

#include <weft/process/array.hpp>

auto share() { return weft::process::Array<std::span<int>>{3}; }
