// weft: a pointer in shared memory means nothing to another process
#include <optional>

#include <weft/process/value.hpp>

auto share() { return weft::process::Value<std::optional<int*>>{std::nullopt}; }
