// weft: imap() and map_async() are for functions that return values
#include <vector>

#include <weft/process/pool.hpp>

void show(int number);

void show_all(weft::process::Pool& pool, const std::vector<int>& numbers) { (void)pool.imap_unordered(show, numbers); }
