// Numbers through moodycamel::BlockingConcurrentQueue, with a token for each producer and consumer, its fastest form.
// It has no bound: its producers never wait, a job that is easier than the others'. Arguments: see crowd.hpp.
#include <concurrentqueue/blockingconcurrentqueue.h>

#include "p8_queue/crowd.hpp"

int main(int argc, char** argv) {
  using Queue = moodycamel::BlockingConcurrentQueue<std::uint64_t>;
  const bench::Arguments arguments(argc, argv);
  Queue queue(bench::kQueueSize);
  bench::Crowd(arguments).measure(
      bench::on_thread, bench::on_thread,
      [&queue] {
        return [&queue, token = moodycamel::ProducerToken(queue)](std::uint64_t number) {
          if (!queue.enqueue(token, number)) std::abort();  // no memory
        };
      },
      [&queue] {
        return [&queue, token = moodycamel::ConsumerToken(queue)]() mutable {
          std::uint64_t number = 0;
          queue.wait_dequeue(token, number);
          return number;
        };
      });
}
