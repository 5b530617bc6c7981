#include <gtest/gtest.h>

#include <cstdlib>

#include "http/scenes.hpp"

int main(int argc, char** argv) {
  // No proxy of this machine has a say in tests.
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"}) ::unsetenv(name);
  // Connections that are kept would be taken for leaks.
  weft::http::set_connection_limits(weft::test::kForgetful);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
