// What the C++ programs of this workload share. Arguments: --count N (items, divisible by producers and by consumers),
// --producers P, --consumers C.
#pragma once

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <thread>
#include <utility>
#include <vector>

#include "common/measure.hpp"

namespace bench {

constexpr std::uint64_t kQueueSize = 1024;

constexpr auto on_thread = [](auto body) { return std::thread(std::move(body)); };

/// Producers that put the numbers from 0 to N - 1 into one queue, each an equal share, and consumers that take equal
/// shares out.
class Crowd {
 public:
  explicit Crowd(const Arguments& arguments)
      : arguments_{arguments},
        count_{arguments.number("count", 2'000'000)},
        producers_{arguments.number("producers", 1)},
        consumers_{arguments.number("consumers", 1)} {
    if (count_ % producers_ != 0 || count_ % consumers_ != 0) {
      std::cerr << "the items cannot be shared out equally\n";
      std::exit(2);
    }
  }

  /// `start_producer` and `start_consumer` start a callable and return something to join. `make_put()` and
  /// `make_get()` are called by each of them for a callable of its own that puts one number or returns one.
  template <class StartProducer, class StartConsumer, class MakePut, class MakeGet>
  void measure(StartProducer start_producer, StartConsumer start_consumer, MakePut make_put,
               MakeGet make_get) {
    bench::measure(arguments_, count_, [&] {
      sum_.store(0);
      std::vector<decltype(start_consumer([] {}))> consumers;
      std::vector<decltype(start_producer([] {}))> producers;
      for (std::uint64_t i = 0; i < consumers_; ++i) {
        consumers.push_back(start_consumer([&] { consume(make_get()); }));
      }
      for (std::uint64_t i = 0; i < producers_; ++i) {
        producers.push_back(start_producer([&, i] { produce(i, make_put()); }));
      }
      for (auto& producer : producers) producer.join();
      for (auto& consumer : consumers) consumer.join();
      if (sum_.load() != count_ * (count_ - 1) / 2) std::abort();  // lost, doubled or spoilt
    });
  }

 private:
  template <class Put>
  void produce(std::uint64_t index, Put put) {
    const std::uint64_t share = count_ / producers_;
    for (std::uint64_t i = 0; i < share; ++i) put(index * share + i);
  }

  template <class Get>
  void consume(Get get) {
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < count_ / consumers_; ++i) sum += get();
    sum_.fetch_add(sum);
  }

  const Arguments& arguments_;
  const std::uint64_t count_;
  const std::uint64_t producers_;
  const std::uint64_t consumers_;
  std::atomic<std::uint64_t> sum_{0};
};

}  // namespace bench
