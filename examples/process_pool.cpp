// Teaches: to have work done by other processes, with the words of a thread pool, and what happens when one of them dies.
//
// Primes below 100,000 are counted, in twenty parts, by two processes. What is called is a function or a lambda without captures: it
// and its arguments are sent, and results and exceptions come back. Callbacks run here, one at a time, so that they need no lock.
// A task that ends its process fails alone, with WorkerDied; the process is replaced.
#include <csignal>
#include <cstdio>
#include <set>
#include <stdexcept>
#include <vector>

#include <unistd.h>

#include <weft/process/main.hpp>
#include <weft/weft.hpp>
#include <weft/process/process_pool_executor.hpp>

namespace {

int primes_in(int from, int to) {
  int count = 0;
  for (int n = from < 2 ? 2 : from; n < to; ++n) {
    bool is_prime = true;
    for (int d = 2; d * d <= n && is_prime; ++d) is_prime = n % d != 0;
    count += is_prime;
  }
  return count;
}

int careless(int divisor) {
  if (divisor == 0) throw std::invalid_argument{"dividing by zero"};
  return 100 / divisor;
}

}  // namespace

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  weft::ProcessPoolExecutor pool{2};

  std::vector<weft::Future<int>> parts;
  int in_callbacks = 0;
  weft::Semaphore called{0};
  for (int i = 0; i < 20; ++i) {
    parts.push_back(pool.submit(primes_in, i * 5000, (i + 1) * 5000));
    parts.back().add_done_callback([&](weft::Future<int>& part) {
      in_callbacks += part.result();
      called.release();
    });
  }
  int total = 0;
  for (weft::Future<int>& part : weft::as_completed(parts)) total += part.result();  // which callbacks ask for, too: get() would take it away
  for (int i = 0; i < 20; ++i) called.acquire();
  std::printf("%d primes, %d as the callbacks counted them\n", total, in_callbacks);

  std::set<int> pids;
  const std::vector<int> numbers{0, 1, 2, 3, 4, 5, 6, 7};
  for (int pid : pool.map([](int) { return ::getpid(); }, numbers)) pids.insert(pid);
  std::printf("done by at most two processes: %s; by this one: %s\n", pids.size() <= 2 ? "yes" : "no",
              pids.count(::getpid()) != 0 ? "yes" : "no");

  try {
    (void)pool.submit(careless, 0).get();
  } catch (const std::invalid_argument& error) {
    std::printf("came back as it was thrown: %s\n", error.what());
  }

  weft::Future<int> doomed = pool.submit([](int signal) { return ::kill(::getpid(), signal); }, SIGKILL);
  try {
    (void)doomed.get();
  } catch (const weft::WorkerDied& died) {
    std::printf("a worker died by signal %d; the next task: %d\n", died.signal(), pool.submit(careless, 5).get());
  }
}
