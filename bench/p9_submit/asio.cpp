// boost::asio::thread_pool, post with use_future. Arguments: see submit.hpp.
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include "p9_submit/submit.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  boost::asio::thread_pool pool(bench::pool_size(arguments));
  bench::measure_submits(arguments, [&pool](std::uint64_t i) {
    return boost::asio::post(pool, boost::asio::use_future([i] { return i + 1; }));
  });
}
