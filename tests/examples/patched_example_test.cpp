// The example that is linked with the patch library prints what its text says.
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "support/paths.hpp"
#include "support/program.hpp"

namespace weft {
namespace {

TEST(Examples, PatchedCurl) {
  if (::access((test::build_dir() + "/examples/patched_curl").c_str(), X_OK) != 0) {
    GTEST_SKIP() << "libcurl's headers are not installed: tools/setup servers";
  }
  const test::ProgramResult result = test::run_program("../../examples/patched_curl");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(test::without_stall_reports(result.output),
            "50 of 50 transfers of 100 ms on one worker\n"
            "at the same time: yes\n");
}

}  // namespace
}  // namespace weft
