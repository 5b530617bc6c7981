// weft: a view cannot be sent to another process
// the culprit: std::basic_string_view<char>
#include <weft/process/process_pool_executor.hpp>
#include <string_view>
std::string_view word();
auto get(weft::ProcessPoolExecutor& pool) { return pool.submit(word).get(); }
