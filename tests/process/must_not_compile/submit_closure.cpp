// weft: this type cannot be sent to another process: a closure with captures
// the culprit: <lambda()>
#include <weft/process/process_pool_executor.hpp>
int count(weft::ProcessPoolExecutor& pool, int base) { return pool.submit([&base] { return base; }).get(); }
