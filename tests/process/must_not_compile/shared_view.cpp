// weft: a pointer in shared memory means nothing to another process
#include <weft/process/shared_memory.hpp>

auto see(const weft::process::SharedMemory& memory) { return memory.as<const char*>(); }
