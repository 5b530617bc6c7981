// Teaches: to let so many through, and no more.
//
// Ten jobs, five places: a Semaphore lets five in, and one more whenever one leaves. A BoundedSemaphore also notices
// when a place is given back that was never taken.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <vector>

#include <weft/weft.hpp>

using namespace std::chrono_literals;

namespace {

weft::BoundedSemaphore places{5, "places"};
weft::Lock lock{"statistics"};
int inside = 0;
int most_inside = 0;
int finished = 0;

void count(int change) {
  const std::scoped_lock guard{lock};
  inside += change;
  most_inside = std::max(most_inside, inside);
  if (change < 0) ++finished;
}

void job() {
  const std::scoped_lock place{places};
  count(+1);
  weft::sleep_for(200ms);
  count(-1);
}

}  // namespace

int main() {
  std::vector<weft::Thread> jobs;
  for (int i = 0; i < 10; ++i) jobs.push_back(weft::Thread{job}.start());
  weft::sleep_for(100ms);
  {
    const std::scoped_lock guard{lock};
    std::printf("after half a job's time: %d inside, %d finished\n", inside, finished);
  }
  for (weft::Thread& thread : jobs) thread.join();
  std::printf("at the end: %d finished, at most %d at once\n", finished, most_inside);
  try {
    places.release();
  } catch (const weft::InvalidStateError&) {
    std::printf("one release too many is an error\n");
  }
}
