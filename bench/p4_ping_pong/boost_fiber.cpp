// Two Boost.Fiber fibers pass a number back and forth through two channels. Arguments: --count N (round trips),
// --channel buffered|unbuffered.
#include <boost/fiber/all.hpp>

#include "common/measure.hpp"

namespace {

template <class Channel>
void run(const bench::Arguments& arguments, std::uint64_t count, Channel& ping, Channel& pong) {
  bench::measure(arguments, count, [&] {
    boost::fibers::fiber echo([&] {
      for (std::uint64_t i = 0; i < count; ++i) pong.push(ping.value_pop());
    });
    boost::fibers::fiber caller([&] {
      for (std::uint64_t i = 0; i < count; ++i) {
        ping.push(i);
        if (pong.value_pop() != i) std::abort();
      }
    });
    caller.join();
    echo.join();
  });
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::uint64_t count = arguments.number("count", 2'000'000);
  if (arguments.text("channel", "buffered") == "buffered") {
    // Two is the least capacity allowed, and such a channel holds one item.
    boost::fibers::buffered_channel<std::uint64_t> ping(2);
    boost::fibers::buffered_channel<std::uint64_t> pong(2);
    run(arguments, count, ping, pong);
  } else {
    boost::fibers::unbuffered_channel<std::uint64_t> ping;
    boost::fibers::unbuffered_channel<std::uint64_t> pong;
    run(arguments, count, ping, pong);
  }
}
