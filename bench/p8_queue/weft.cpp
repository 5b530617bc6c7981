// Numbers through one weft::Queue. Arguments: see crowd.hpp; --on threads|fibers|both (producers are threads,
// consumers fibers); fibers run on two workers.
#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/queue/queue.hpp>

#include "p8_queue/crowd.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::string on = arguments.text("on", "threads");
  bench::Crowd crowd(arguments);
  weft::Queue<std::uint64_t> queue(bench::kQueueSize);
  const auto put = [&queue] { return [&queue](std::uint64_t number) { queue.put(number); }; };
  const auto get = [&queue] { return [&queue] { return queue.get(); }; };

  if (on == "threads") {
    crowd.measure(bench::on_thread, bench::on_thread, put, get);
    return 0;
  }
  weft::Runtime runtime({.workers = 2});
  const auto on_fiber = [&runtime](auto body) { return runtime.spawn(std::move(body)); };
  if (on == "fibers") {
    crowd.measure(on_fiber, on_fiber, put, get);
  } else {
    crowd.measure(bench::on_thread, on_fiber, put, get);
  }
}
