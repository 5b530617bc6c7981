// producer_consumer: a bounded queue between two producers and three consumers.
//
// The queue holds 20 jobs. The 21st put waits until a job is taken, so that fast producers cannot run away from slow
// consumers. Each consumer says task_done() for what it has dealt with; join() waits until that is so for every job.
// Then the queue is shut down, and the consumers, finding it empty for ever, come to their end.
#include <atomic>
#include <chrono>
#include <iostream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <weft/queue/queue.hpp>

namespace {

using namespace std::chrono_literals;

struct Job {
  std::string producer;
  int number = 0;
};

void show_the_bound() {
  weft::Queue<int> queue{20};
  for (int i = 1; i <= 20; ++i) queue.put(i);
  std::cout << "20 items are in, the queue is " << (queue.full() ? "full" : "not full") << '\n';
  std::cout << "the 21st, waiting at most 50 ms: " << (queue.put_for(21, 50ms) ? "in" : "no room") << '\n';

  std::atomic<bool> in{false};
  std::jthread producer{[&] {
    queue.put(21);
    in = true;
  }};
  std::this_thread::sleep_for(50ms);
  std::cout << "the 21st, waiting as long as it takes: " << (in ? "in" : "still waits") << '\n';
  std::cout << "a consumer takes " << queue.get() << '\n';
  producer.join();
  std::cout << "the 21st is in, and there are " << queue.qsize() << " again\n";
}

void produce(weft::Queue<Job>& jobs, const std::string& name) {
  for (int i = 1; i <= 30; ++i) jobs.put({name, i});
}

void consume(weft::Queue<Job>& jobs, std::atomic<int>& done, std::atomic<long>& sum) {
  while (std::optional<Job> job = jobs.get_for(10s)) {
    std::this_thread::sleep_for(1ms);  // work
    sum += job->number;
    ++done;
    jobs.task_done();
  }
}

void show_the_work() {
  weft::Queue<Job> jobs{20, "jobs"};
  std::atomic<int> done{0};
  std::atomic<long> sum{0};
  std::vector<std::jthread> consumers;
  for (int i = 0; i < 3; ++i) consumers.emplace_back([&] { consume(jobs, done, sum); });
  {
    std::jthread ann{[&] { produce(jobs, "Ann"); }};
    std::jthread bob{[&] { produce(jobs, "Bob"); }};
  }
  std::cout << "two producers have put 60 jobs\n";
  jobs.join();  // what is still in the queue, or in a consumer's hands
  std::cout << "three consumers have done " << done << ", the numbers add up to " << sum << '\n';
  jobs.shutdown();
  consumers.clear();  // joins them
  std::cout << "the consumers have gone home\n";
  try {
    jobs.put({"Ann", 31});
  } catch (const weft::ShutDown& error) {
    std::cout << "one more: " << error.what() << '\n';
  }
}

}  // namespace

int main() {
  show_the_bound();
  show_the_work();
}
