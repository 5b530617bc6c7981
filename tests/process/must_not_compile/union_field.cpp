// weft: a union cannot be sent to another process
// the culprit: T = Value
#include <weft/process/process_pool_executor.hpp>

union Value {
  int whole;
  double real;
};
struct Cell {
  int row;
  Value value;
};

int show(const Cell& cell);

auto send(weft::ProcessPoolExecutor& pool, const Cell& cell) { return pool.submit(show, cell); }
