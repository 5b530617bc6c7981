// weft: this type cannot be sent to another process: a closure with captures
// the culprit: <lambda(int)>
#include <weft/process/pool.hpp>
#include <vector>
std::vector<int> shifted(weft::process::Pool& pool, const std::vector<int>& all, int by) { return pool.map([&by](int i) { return i + by; }, all); }
