// libcurl's blocking interface on fibers of one worker, patched by libweft-patch.so. Arguments: see fetches.hpp.
#include <vector>

#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>

#include "f2_patched_curl/fetches.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 20'000);
  const std::uint64_t at_once = arguments.number("at-once", 64);
  const bench::FetchServer server;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  weft::Runtime runtime({.workers = 1});
  bench::measure(arguments, count, [&] {
    std::uint64_t bytes = 0;
    runtime.run([&] {
      std::vector<weft::Fiber<void>> fibers;
      for (std::uint64_t i = 0; i < at_once; ++i) {
        fibers.push_back(weft::spawn([&] {
          CURL* curl = bench::make_transfer(server.url(), &bytes);
          for (std::uint64_t n = 0; n < count / at_once; ++n) bench::check(curl_easy_perform(curl) == CURLE_OK);
          curl_easy_cleanup(curl);
        }));
      }
      for (auto& fiber : fibers) fiber.join();
    });
    bench::check(bytes == count / at_once * at_once * 5);
  });
}
