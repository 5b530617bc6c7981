// weft: a view or reference in shared memory points to something that another process does not have
#include <functional>

#include <weft/process/shared_memory.hpp>

struct Row {
  int number;
  std::reference_wrapper<int> count;
};

auto see(const weft::process::SharedMemory& memory) { return memory.as<Row>(); }
