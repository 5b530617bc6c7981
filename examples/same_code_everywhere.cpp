// Teaches: to write work once and choose where it runs.
//
// One function counts the primes of a range of numbers, another asks any executor there is to do that for many ranges; the same
// two run on threads, on fibers, in processes, and in the caller, by an executor made here, to show what one has to offer. All results agree.
#include <chrono>
#include <cstdio>
#include <exception>
#include <numeric>
#include <ranges>
#include <utility>

#include <weft/weft.hpp>

namespace {

bool is_prime(long number) {
  for (long divisor = 2; divisor * divisor <= number; ++divisor) {
    if (number % divisor == 0) return false;
  }
  return number > 1;
}

// Plain code: it does not know where it runs.
long primes_from(long first) {
  long count = 0;
  for (long number = first; number < first + 1000; ++number) count += is_prime(number);
  weft::sleep_for(std::chrono::milliseconds{1});  // a thread sleeps; a fiber lets others run
  return count;
}

template <weft::Executor E>
long primes_below_100000(E& executor) {
  const auto beginnings = std::views::iota(0L, 100L) | std::views::transform([](long n) { return n * 1000; });
  long sum = 0;
  for (const long count : executor.map(primes_from, beginnings)) sum += count;
  return sum;
}

/// Does the work at once, in the caller: what tests of other programs like to use.
class Here : public weft::Mapping<Here> {
 public:
  template <class F, class... Args>
  auto submit(F&& callable, Args&&... args) {
    using R = std::invoke_result_t<F, Args...>;
    weft::Promise<R> promise;
    auto future = promise.future();
    try {
      promise.set_value(std::invoke(std::forward<F>(callable), std::forward<Args>(args)...));
    } catch (...) {
      promise.set_exception(std::current_exception());
    }
    return future;
  }
  void shutdown() {}
};

}  // namespace

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  weft::ThreadPoolExecutor threads{4};
  weft::FiberPoolExecutor fibers{50};
  weft::ProcessPoolExecutor processes{2};
  Here here;
  std::printf("threads: %ld primes\n", primes_below_100000(threads));
  std::printf("fibers:  %ld primes\n", primes_below_100000(fibers));
  std::printf("processes: %ld primes\n", primes_below_100000(processes));
  std::printf("here:    %ld primes\n", primes_below_100000(here));

  // With one worker fibers never run in parallel: still the same code.
  weft::Runtime one{{.workers = 1}};
  one.run([] {
    weft::FiberPoolExecutor in_turns{50};
    std::printf("one worker: %ld primes\n", primes_below_100000(in_turns));
  });
}
