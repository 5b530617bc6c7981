// weft: a class that derives from a container or a path cannot be sent to another process as it is
// the culprit: T = Polygon
#include <string>
#include <vector>

#include <weft/process/process_pool_executor.hpp>

struct Polygon : std::vector<double> {
  std::string color;
};

int show(const Polygon& polygon);

auto send(weft::ProcessPoolExecutor& pool, const Polygon& polygon) { return pool.submit(show, polygon); }
