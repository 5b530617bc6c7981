#pragma once

#include <map>
#include <string>

#include <gtest/gtest.h>

namespace weft::test {

/// What this process holds that must not grow: threads by name, descriptors by what they refer to. Not counted: what weft
/// keeps for its own later use (the monitor, the default runtime, helper threads that end after ten idle seconds; pooled
/// epoll instances and eventfds).
struct Holdings {
  std::map<std::string, int> threads;
  std::map<std::string, int> descriptors;

  [[nodiscard]] static Holdings now();
  [[nodiscard]] std::string describe() const;
};

/// Every thread and descriptor, by any name.
[[nodiscard]] int count_threads();
[[nodiscard]] int count_descriptors();

/// A test suite that ends with the threads and descriptors it began with.
class LeakFree : public testing::Test {
 public:
  static void SetUpTestSuite();
  static void TearDownTestSuite();
};

}  // namespace weft::test
