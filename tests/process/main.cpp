#include <gtest/gtest.h>

#include <weft/process/main.hpp>

int main(int argc, char** argv) {
  weft::process::main(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
