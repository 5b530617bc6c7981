// Makes a pool of processes, gives each worker one small task, and reads what an idle one takes. Arguments: --by
// fork|forkserver|spawn, --workers N.
#include <unistd.h>

#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include <weft/fiber/this_fiber.hpp>
#include <weft/process/main.hpp>
#include <weft/process/pool.hpp>

#include "common/arguments.hpp"
#include "common/process_memory.hpp"

namespace {

long tell_pid(long) {
  weft::sleep_for(std::chrono::milliseconds{50});  // so that each worker gets one
  return ::getpid();
}

}  // namespace

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  const bench::Arguments arguments(argc, argv);
  const auto workers = static_cast<unsigned>(arguments.number("workers", 4));
  const weft::StartMethod method = weft::process::start_method_named(arguments.text("by", "forkserver"));
  weft::process::Pool pool{{.processes = workers, .start_method = method}};
  std::set<long> pids;
  while (pids.size() < workers) {
    const std::vector<long> told = pool.map(tell_pid, std::vector<long>(workers), 1);
    pids.insert(told.begin(), told.end());
  }
  bench::SharedOut sum;
  for (const long pid : pids) sum += bench::SharedOut::of(std::to_string(pid));
  const auto count = static_cast<double>(workers);
  std::printf("pss_bytes=%.0f private_bytes=%.0f resident_bytes=%.0f page_table_bytes=%.0f\n", sum.proportional_bytes / count,
              sum.private_bytes / count, sum.resident_bytes / count, sum.page_table_bytes / count);
}
