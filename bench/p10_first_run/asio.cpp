// From a plain thread's post to the handler's begin, on a thread_pool of two. Arguments: see first_run.hpp.
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "p10_first_run/first_run.hpp"

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  boost::asio::thread_pool pool(2);
  bench::measure_first_run(arguments, [&pool](const bench::FirstRunTask& task) {
    boost::asio::post(pool, task);
    return nullptr;
  });
  pool.join();
}
