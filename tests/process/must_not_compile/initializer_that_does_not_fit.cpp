// weft: the callable cannot be called with these arguments
#include <string>

#include <weft/process/pool.hpp>

void open_log(int level);

auto make() { return weft::process::Pool{{.processes = 2, .initializer = {open_log, std::string{"worker.log"}}}}; }
