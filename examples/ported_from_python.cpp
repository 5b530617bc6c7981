// Teaches: to carry a Python program over, line by line, with docs/python_map.md beside it.
//
// The program in Python, which measures what its stations report, with a pool of threads, and lets a few greenlets log meanwhile:
//
//     import gevent, time
//     from concurrent.futures import ThreadPoolExecutor, as_completed
//
//     def measure(station):
//         time.sleep(0.01 * station)
//         if station == 3:
//             raise RuntimeError("station 3 does not answer")
//         return 20 + station / 10
//
//     def log(name, lines):
//         for i in range(2):
//             gevent.sleep(0.001)
//             lines.append(f"{name} {i}")
//
//     with ThreadPoolExecutor(max_workers=2) as pool:
//         stations = {pool.submit(measure, n): n for n in range(1, 5)}
//         for future in as_completed(stations, timeout=30):
//             try:
//                 print("station", stations[future], "says", future.result())
//             except RuntimeError as error:
//                 print("station", stations[future], "failed:", error)
//
//     lines = []
//     loggers = [gevent.spawn(log, name, lines) for name in ("rain", "wind")]
//     gevent.joinall(loggers, timeout=2)
//     print(sorted(lines))
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

double measure(int station) {
  weft::sleep_for(10ms * station);
  if (station == 3) throw std::runtime_error{"station 3 does not answer"};
  return 20 + station / 10.0;
}

void log(const std::string& name, std::vector<std::string>& lines) {
  for (int i = 0; i < 2; ++i) {
    weft::sleep_for(1ms);
    lines.push_back(name + ' ' + std::to_string(i));
  }
}

}  // namespace

int main() {
  {
    weft::ThreadPoolExecutor pool{2};
    std::vector<weft::Future<double>> stations;  // a future is told by its place: Python's dict is not needed
    for (int n = 1; n < 5; ++n) stations.push_back(pool.submit(measure, n));
    for (weft::Future<double>& future : weft::as_completed(stations, 30s)) {
      const auto station = &future - stations.data() + 1;
      try {
        std::printf("station %td says %.1f\n", station, future.result());
      } catch (const std::runtime_error& error) {
        std::printf("station %td failed: %s\n", station, error.what());
      }
    }
  }

  // gevent's world has one thread: a runtime with one worker, so that `lines` needs no lock.
  weft::Runtime gevent{{.workers = 1}};
  gevent.run([] {
    std::vector<std::string> lines;
    std::vector<weft::Fiber<void>> loggers;
    for (const char* name : {"rain", "wind"}) loggers.push_back(weft::spawn(log, name, std::ref(lines)));
    (void)weft::join_all(loggers, 2s);
    std::ranges::sort(lines);
    for (const std::string& line : lines) std::printf("%s\n", line.c_str());
  });
}
