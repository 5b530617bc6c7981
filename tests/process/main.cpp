#include <gtest/gtest.h>

#include <cstdlib>

#include <weft/process/main.hpp>
#include <weft/process/start_method.hpp>

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  // For tests that start processes by what is usual.
  if (const char* const method = std::getenv("WEFT_TEST_START_METHOD")) {
    weft::process::set_start_method(weft::process::start_method_named(method), true);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
