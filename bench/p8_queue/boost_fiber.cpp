// Numbers through a buffered channel of Boost.Fiber, which holds one item less than its capacity. Arguments: see
// crowd.hpp; --on fibers|both (producers are threads, consumers fibers); --threads 1|2 (two: producers on one,
// consumers on the other).
#include <boost/fiber/all.hpp>

#include "p8_queue/crowd.hpp"

namespace {

namespace fibers = boost::fibers;

/// A fiber's end, for a thread as well as for a fiber.
struct Handle {
  fibers::future<void> ended;
  void join() { ended.get(); }
};

/// A thread that runs the fibers it is given. Boost's own ways to share fibers among threads (shared_work,
/// work_stealing) were slower here: they spin while there is nothing to do or, told to sleep, do not wake each other's
/// threads.
class FiberThread {
 public:
  ~FiberThread() {
    bodies_.close();
    thread_.join();
  }

  template <class Body>
  Handle start(Body body) {
    fibers::packaged_task<void()> task(std::move(body));
    Handle handle{task.get_future()};
    bodies_.push(std::move(task));
    return handle;
  }

 private:
  void run() {
    for (fibers::packaged_task<void()> body; bodies_.pop(body) == fibers::channel_op_status::success;) {
      fibers::fiber(std::move(body)).detach();
    }
  }

  fibers::buffered_channel<fibers::packaged_task<void()>> bodies_{16};
  std::thread thread_{[this] { run(); }};
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  bench::Crowd crowd(arguments);
  fibers::buffered_channel<std::uint64_t> channel(bench::kQueueSize);
  const auto put = [&channel] { return [&channel](std::uint64_t number) { channel.push(number); }; };
  const auto get = [&channel] { return [&channel] { return channel.value_pop(); }; };

  FiberThread first;
  const auto on_first = [&first](auto body) { return first.start(std::move(body)); };
  if (arguments.text("on", "fibers") == "both") {
    crowd.measure(bench::on_thread, on_first, put, get);
  } else if (arguments.number("threads", 1) == 1) {
    crowd.measure(on_first, on_first, put, get);
  } else {
    FiberThread second;
    crowd.measure([&second](auto body) { return second.start(std::move(body)); }, on_first, put, get);
  }
}
