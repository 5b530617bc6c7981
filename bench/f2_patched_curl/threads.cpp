// libcurl's blocking interface on threads. Arguments: see fetches.hpp.
#include <atomic>
#include <thread>
#include <vector>

#include "f2_patched_curl/fetches.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 20'000);
  const std::uint64_t at_once = arguments.number("at-once", 64);
  const bench::FetchServer server;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  bench::measure(arguments, count, [&] {
    std::atomic<std::uint64_t> all{0};
    std::vector<std::thread> threads;
    for (std::uint64_t i = 0; i < at_once; ++i) {
      threads.emplace_back([&] {
        std::uint64_t bytes = 0;
        CURL* curl = bench::make_transfer(server.url(), &bytes);
        for (std::uint64_t n = 0; n < count / at_once; ++n) bench::check(curl_easy_perform(curl) == CURLE_OK);
        curl_easy_cleanup(curl);
        all += bytes;
      });
    }
    for (auto& thread : threads) thread.join();
    bench::check(all == count / at_once * at_once * 5);
  });
}
