// libcurl's multi interface, as its documentation shows it: curl_multi_poll. Arguments: see fetches.hpp.
#include <vector>

#include "f2_patched_curl/fetches.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 20'000);
  const std::uint64_t at_once = arguments.number("at-once", 64);
  const bench::FetchServer server;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  bench::measure(arguments, count, [&] {
    std::uint64_t bytes = 0;
    CURLM* multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, static_cast<long>(at_once));
    std::vector<CURL*> handles;
    for (std::uint64_t i = 0; i < at_once; ++i) {
      handles.push_back(bench::make_transfer(server.url(), &bytes));
      curl_multi_add_handle(multi, handles.back());
    }
    std::uint64_t to_begin = count / at_once * at_once - at_once;
    int running = 1;
    while (running != 0) {
      bench::check(curl_multi_perform(multi, &running) == CURLM_OK);
      int left = 0;
      while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
        bench::check(message->data.result == CURLE_OK);
        CURL* done = message->easy_handle;
        curl_multi_remove_handle(multi, done);
        if (to_begin == 0) continue;
        --to_begin;
        curl_multi_add_handle(multi, done);
        running = 1;
      }
      if (running != 0) curl_multi_poll(multi, nullptr, 0, 1000, nullptr);
    }
    for (CURL* handle : handles) curl_easy_cleanup(handle);
    curl_multi_cleanup(multi);
    bench::check(bytes == count / at_once * at_once * 5);
  });
}
