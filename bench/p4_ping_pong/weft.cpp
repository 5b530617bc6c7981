// Two fibers on one worker pass a number back and forth through two one-slot queues. Arguments: --count N (round trips).
#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/queue/queue.hpp>

#include "common/measure.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 2'000'000);
  weft::Runtime runtime({.workers = static_cast<unsigned>(arguments.number("workers", 1))});
  runtime.run([&] {
    weft::Queue<std::uint64_t> ping(1);
    weft::Queue<std::uint64_t> pong(1);
    bench::measure(arguments, count, [&] {
      auto echo = weft::spawn([&] {
        for (std::uint64_t i = 0; i < count; ++i) pong.put(ping.get());
      });
      auto caller = weft::spawn([&] {
        for (std::uint64_t i = 0; i < count; ++i) {
          ping.put(i);
          if (pong.get() != i) std::abort();
        }
      });
      caller.join();
      echo.join();
    });
  });
}
