// weft: this type cannot be sent to another process: a closure with captures
// the culprit: <lambda()>
#include <weft/process/process_pool_executor.hpp>
void make(int& count) { weft::ProcessPoolExecutor pool{{.initializer = {[&count] { ++count; }}}}; }
