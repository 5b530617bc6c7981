// Teaches: process::Pool, a fixed number of processes, and its ways to hand work out.
//
// apply() calls once and waits; apply_async() gives a Future and calls back, here, in this process; map() takes a whole range, cut into chunks;
// imap() and imap_unordered() take it bit by bit; starmap() takes tuples of arguments. close() refuses more work, join()
// waits until all is done.
#include <cstdio>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include <weft/process/main.hpp>
#include <weft/process/pool.hpp>
#include <weft/weft.hpp>

namespace {

std::string shop;  // each worker has its own, which the initializer sets

void open_shop(const std::string& name) { shop = name; }
std::string bill(const std::string& article, int pieces) { return shop + ": " + std::to_string(pieces) + ' ' + article; }
long square(long x) { return x * x; }

}  // namespace

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  weft::process::Pool pool{{.processes = 3, .initializer = {open_shop, "bakery"}}};

  std::printf("%s\n", pool.apply(bill, "rolls", 6).c_str());

  weft::Event called;
  weft::Future<std::string> later = pool.apply_async(weft::process::Callbacks{[&](const std::string& text) {
                                                       std::printf("called back here with \"%s\"\n", text.c_str());
                                                       called.set();
                                                     }},
                                                     bill, "loaves", 2);
  called.wait();

  std::vector<long> numbers(1000);
  std::iota(numbers.begin(), numbers.end(), 1);
  const std::vector<long> squares = pool.map(square, numbers);
  std::printf("the last of %zu squares is %ld\n", squares.size(), squares.back());

  long sum = 0;
  for (long x : pool.imap(square, numbers)) {
    sum += x;
    if (x >= 100) break;  // the others are not asked for
  }
  std::printf("the first ten sum up to %ld\n", sum);
  sum = 0;
  for (long x : pool.imap_unordered(square, numbers, {.chunk_size = 50})) sum += x;
  std::printf("all of them, in any order, to %ld\n", sum);

  const std::vector<std::pair<std::string, int>> orders{{"pretzels", 3}, {"cakes", 1}};
  for (const std::string& text : pool.starmap(bill, orders)) std::printf("%s\n", text.c_str());

  try {
    pool.join();
  } catch (const weft::InvalidStateError&) {
    std::printf("join() before close() is an error\n");
  }
  pool.close();
  try {
    (void)pool.apply(square, 2L);
  } catch (const weft::ShutDown&) {
    std::printf("closed: no more work is taken\n");
  }
  pool.join();
  std::printf("workers left: %zu\n", pool.workers());
}
