// Part of every test program: when everything stands still, what all contexts wait for is told, with the test's name.

#include <cstdio>
#include <string>

#include <gtest/gtest.h>

#include <weft/sync/deadlock.hpp>

#include "support/standstill.hpp"

namespace weft::test {
namespace {

class Watch : public testing::Environment {
 public:
  void SetUp() override {
    set_standstill_hook([](const std::string& report) {
      const auto* test = testing::UnitTest::GetInstance()->current_test_info();
      std::fprintf(stderr, "%s.%s: %s\n", test ? test->test_suite_name() : "", test ? test->name() : "", report.c_str());
    });
    report_standstill_after(kStandstillTold);
  }
};

[[maybe_unused]] const testing::Environment* const watch = testing::AddGlobalTestEnvironment(new Watch);

}  // namespace
}  // namespace weft::test
