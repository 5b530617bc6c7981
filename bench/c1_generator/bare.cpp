// The floor: a coroutine with a promise that holds one value, resumed by hand. It knows no exceptions, and delegates by a loop.
// Arguments: --depth N, --count N.
#include <coroutine>
#include <cstdlib>

#include "common/measure.hpp"

namespace {

class Numbers {
 public:
  struct promise_type {
    std::uint64_t value = 0;
    Numbers get_return_object() { return Numbers{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(std::uint64_t number) {
      value = number;
      return {};
    }
    void return_void() {}
    void unhandled_exception() { std::abort(); }
  };

  explicit Numbers(std::coroutine_handle<promise_type> handle) : handle_{handle} {}
  Numbers(const Numbers&) = delete;
  Numbers& operator=(const Numbers&) = delete;
  ~Numbers() { handle_.destroy(); }

  bool next() {
    handle_.resume();
    return !handle_.done();
  }
  std::uint64_t value() const { return handle_.promise().value; }

 private:
  std::coroutine_handle<promise_type> handle_;
};

Numbers numbers(std::uint64_t count, std::uint64_t depth) {
  if (depth > 1) {
    Numbers inner = numbers(count, depth - 1);
    while (inner.next()) co_yield inner.value();
  } else {
    for (std::uint64_t i = 1; i <= count; ++i) co_yield i;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 20'000'000);
  const std::uint64_t depth = arguments.number("depth", 1);
  bench::measure(arguments, count, [&] {
    std::uint64_t sum = 0;
    Numbers all = numbers(count, depth);
    while (all.next()) sum += all.value();
    if (sum != count * (count + 1) / 2) std::abort();
  });
}
