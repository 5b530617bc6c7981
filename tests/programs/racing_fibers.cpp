// A race between two fibers that nothing orders. Built everywhere, of interest under ThreadSanitizer, which must report
// it; but not on one worker, where fibers never run at once and may share variables as gevent's greenlets do.
//
//   racing_fibers WORKERS [ordered]    ordered: the same, with a lock

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <vector>

#include <weft/weft.hpp>

namespace {

int shared_counter = 0;
weft::Lock lock;

}  // namespace

int main(int count, char** arguments) {
  const bool ordered = count > 2;
  weft::Runtime runtime{{.workers = static_cast<unsigned>(std::atoi(arguments[1]))}};
  runtime.run([&] {
    const auto body = [&] {
      for (int i = 0; i < 5000; ++i) {
        if (ordered) {
          const std::lock_guard guard{lock};
          ++shared_counter;
        } else {
          ++shared_counter;
        }
        weft::yield();
      }
    };
    // Four of them: which two meet first, and in what order, is up to the scheduler.
    std::vector<weft::Fiber<void>> fibers;
    for (int i = 0; i < 4; ++i) fibers.push_back(weft::spawn(body));
    weft::join_all(fibers);
  });
  std::printf("%d\n", shared_counter);
}
