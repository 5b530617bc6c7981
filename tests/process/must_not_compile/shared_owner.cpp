// weft: only trivially copyable types can lie in shared memory
#include <memory>

#include <weft/process/value.hpp>

void share() { weft::process::Value<std::unique_ptr<int>> value{nullptr}; }
