// Teaches: a producer and a consumer without a thread, a queue or a lock.
//
// Both are generators. The producer asks the consumer to take each item, by send(), and so learns what it answers
// before it makes the next. At any moment one of them runs and the other waits at its co_yield: there is nothing to
// protect, and never more than one item on its way.
#include <cstdio>
#include <optional>
#include <string>

#include <weft/fiber/generator.hpp>
#include <weft/weft.hpp>

namespace {

/// Is sent items and yields what it says about each.
weft::Generator<std::string, int> consumer() {
  std::string answer = "ready";
  for (;;) {
    const std::optional<int> item = co_yield answer;
    if (!item) co_return;
    std::printf("  consumer takes %d\n", *item);
    answer = *item % 2 == 0 ? "good" : "odd";
  }
}

void produce(weft::Generator<std::string, int>& to) {
  std::printf("consumer says %s\n", to.next()->c_str());
  for (int item = 1; item <= 3; ++item) {
    std::printf("producer makes %d\n", item);
    std::printf("consumer says %s\n", to.send(item)->c_str());
  }
  to.close();
}

// A pipeline of stages: each asks the one before it for the next item, when it is asked itself.
weft::Generator<int> numbers(int count) {
  for (int i = 1; i <= count; ++i) {
    std::printf(" make %d", i);
    co_yield i;
  }
}

weft::Generator<int> even(weft::Generator<int> source) {
  for (const int number : source) {
    if (number % 2 == 0) co_yield number;
  }
}

weft::Generator<int> squares(weft::Generator<int> source) {
  for (const int number : source) co_yield number * number;
}

}  // namespace

int main() {
  auto taker = consumer();
  produce(taker);
  std::printf("one at a time:");
  for (const int square : squares(even(numbers(5)))) std::printf(" use %d,", square);
  std::printf(" end\n");
}
