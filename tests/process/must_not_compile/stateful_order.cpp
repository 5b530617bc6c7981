// weft: a container whose comparator or hash holds something cannot be sent to another process
#include <map>

#include <weft/process/process_pool_executor.hpp>

using Prices = std::map<int, double, bool (*)(int, int)>;

double sum(const Prices& prices);

auto send(weft::ProcessPoolExecutor& pool, const Prices& prices) { return pool.submit(sum, prices); }
