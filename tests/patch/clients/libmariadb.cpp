// Many queries at once by libmariadb: libmariadb UNIX_SOCKET COUNT

#include <mysql.h>

#include <cstdlib>
#include <cstring>

#include "crowd.hpp"

namespace {

bool query(MYSQL* sql) {
  if (::mysql_query(sql, "SELECT SLEEP(0.05), 'done'") != 0) return false;
  MYSQL_RES* const result = ::mysql_store_result(sql);
  if (!result) return false;
  const MYSQL_ROW row = ::mysql_fetch_row(result);
  const bool right = row && std::strcmp(row[0], "0") == 0 && std::strcmp(row[1], "done") == 0;
  ::mysql_free_result(result);
  return right;
}

bool sleep_in_server(const char* path) {
  MYSQL* const sql = ::mysql_init(nullptr);
  const bool done = ::mysql_real_connect(sql, nullptr, "root", "", nullptr, 0, path, 0) && query(sql);
  if (!done) std::printf("libmariadb: %s\n", ::mysql_error(sql));
  ::mysql_close(sql);
  return done;
}

}  // namespace

int main(int, char** arguments) {
  ::mysql_library_init(0, nullptr, nullptr);
  weft::test::run_crowd(std::atoi(arguments[2]), [&] { return sleep_in_server(arguments[1]); });
  ::mysql_library_end();
}
