// weft: the function of map() cannot be called with an element of the range
#include <string>
#include <vector>

#include <weft/process/pool.hpp>

int length(const std::string& text);

auto lengths(weft::process::Pool& pool, const std::vector<int>& numbers) { return pool.map(length, numbers); }
