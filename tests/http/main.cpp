#include <gtest/gtest.h>

#include "http/scenes.hpp"

int main(int argc, char** argv) {
  weft::test::use_no_proxy();
  // Connections that are kept would be taken for leaks.
  weft::http::set_connection_limits(weft::test::kForgetful);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
