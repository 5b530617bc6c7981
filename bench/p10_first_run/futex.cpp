// The floor: a thread that sleeps on a futex is woken and runs the task. Arguments: see first_run.hpp.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "p10_first_run/first_run.hpp"

namespace {

/// One thread and room for one task.
class BarePool {
 public:
  ~BarePool() {
    hand_over(nullptr);
    thread_.join();
  }

  void hand_over(const bench::FirstRunTask* task) {
    task_ = task;
    word_.store(1, std::memory_order_release);
    syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

 private:
  void run() {
    for (;;) {
      while (word_.load(std::memory_order_acquire) == 0) {
        syscall(SYS_futex, &word_, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
      }
      word_.store(0, std::memory_order_relaxed);
      if (!task_) return;
      (*task_)();
    }
  }

  std::atomic<std::uint32_t> word_{0};
  const bench::FirstRunTask* task_ = nullptr;
  std::thread thread_{[this] { run(); }};
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  BarePool pool;
  bench::measure_first_run(arguments, [&pool](const bench::FirstRunTask& task) {
    pool.hand_over(&task);
    return nullptr;
  });
}
