// Many transfers at once by libcurl's blocking interface: libcurl URL|UNIX_SOCKET COUNT

#include <curl/curl.h>

#include <cstdlib>
#include <string>

#include "crowd.hpp"

namespace {

std::size_t keep(char* data, std::size_t, std::size_t size, void* text) {
  static_cast<std::string*>(text)->append(data, size);
  return size;
}

bool fetch(const char* where) {
  CURL* const curl = ::curl_easy_init();
  std::string body;
  const bool is_path = where[0] == '/';
  ::curl_easy_setopt(curl, CURLOPT_URL, is_path ? "http://localhost/" : where);
  if (is_path) ::curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, where);
  ::curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
  ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
  ::curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  ::curl_easy_setopt(curl, CURLOPT_PROXY, "");
  const CURLcode code = ::curl_easy_perform(curl);
  long status = 0;
  ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  ::curl_easy_cleanup(curl);
  if (code != CURLE_OK) std::printf("libcurl: %s\n", ::curl_easy_strerror(code));
  return code == CURLE_OK && status == 200 && body == "slow but sure\n";
}

}  // namespace

int main(int, char** arguments) {
  ::curl_global_init(CURL_GLOBAL_DEFAULT);
  weft::test::run_crowd(std::atoi(arguments[2]), [&] { return fetch(arguments[1]); });
  ::curl_global_cleanup();
}
