// Numbers through what one writes oneself: a deque, a mutex and two condition variables. Arguments: see crowd.hpp.
#include <condition_variable>
#include <deque>
#include <mutex>

#include "p8_queue/crowd.hpp"

namespace {

class BoundedQueue {
 public:
  void put(std::uint64_t number) {
    {
      std::unique_lock lock{mutex_};
      not_full_.wait(lock, [this] { return items_.size() < bench::kQueueSize; });
      items_.push_back(number);
    }
    not_empty_.notify_one();
  }

  std::uint64_t get() {
    std::uint64_t number = 0;
    {
      std::unique_lock lock{mutex_};
      not_empty_.wait(lock, [this] { return !items_.empty(); });
      number = items_.front();
      items_.pop_front();
    }
    not_full_.notify_one();
    return number;
  }

 private:
  std::mutex mutex_;
  std::condition_variable not_full_;
  std::condition_variable not_empty_;
  std::deque<std::uint64_t> items_;
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  BoundedQueue queue;
  bench::Crowd(arguments).measure(
      bench::on_thread, bench::on_thread,
      [&queue] { return [&queue](std::uint64_t number) { queue.put(number); }; },
      [&queue] { return [&queue] { return queue.get(); }; });
}
