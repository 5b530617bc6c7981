// Teaches: a fiber that waits costs a page of memory and a little, so that a program may have a million of them.
//
// All fibers wait for one Event; then each adds its number to a sum, under a Lock, as a thread would.
// Usage: million_fibers [COUNT]. A million take about 5 GiB.

#include <charconv>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <vector>

#include <weft/weft.hpp>

namespace {

constexpr unsigned long kDefault = 1'000'000;

unsigned long count_from(const char* text) {
  unsigned long count = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), count);
  return error == std::errc{} && *end == '\0' ? count : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const unsigned long count = argc > 1 ? count_from(argv[1]) : kDefault;
  if (count == 0) {
    std::fprintf(stderr, "usage: million_fibers [COUNT], a number above 0\n");
    return 2;
  }

  weft::Event start{"start"};
  weft::Lock lock{"sum"};
  weft::Semaphore waiting{0};
  unsigned long long sum = 0;

  std::vector<weft::Fiber<void>> fibers;
  fibers.reserve(count);
  for (unsigned long number = 1; number <= count; ++number) {
    fibers.push_back(weft::spawn([&, number] {
      waiting.release();
      start.wait();
      const std::scoped_lock guard{lock};
      sum += number;
    }));
  }
  for (unsigned long i = 0; i < count; ++i) waiting.acquire();
  std::printf("%lu fibers wait\n", count);

  start.set();
  weft::join_all(fibers);
  std::printf("their numbers add up to %llu\n", sum);
  return sum == static_cast<unsigned long long>(count) * (count + 1) / 2 ? 0 : 1;
}
