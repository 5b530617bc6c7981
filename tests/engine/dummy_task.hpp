#pragma once

#include <atomic>

#include <weft/detail/task.hpp>

namespace weft::test {

/// A task for queues to hold; it is never run.
struct DummyTask final : detail::Task {
  ~DummyTask() override = default;
  void execute() override {}
  void abandon() noexcept override {}

  std::atomic<int> seen{0};
};

}  // namespace weft::test
