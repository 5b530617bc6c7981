// The examples about fibers print what their texts say.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>

#include "support/paths.hpp"

namespace weft {
namespace {

std::string output_of(const std::string& example) {
  const std::string command = "timeout 60 " + test::build_dir() + "/examples/" + example + " 2>&1";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe{::popen(command.c_str(), "r"), &::pclose};
  std::string output;
  char buffer[4096];
  while (const std::size_t size = std::fread(buffer, 1, sizeof buffer, pipe.get()))
    output.append(buffer, size);
  return output;
}

TEST(Examples, FiberServer) {
  EXPECT_EQ(output_of("fiber_server"),
            "connections:           500\n"
            "lines answered:        1500\n"
            "clients satisfied:     500\n"
            "never more at once than 100: yes\n"
            "threads of the server: 1\n"
            "fibers, each with a name like DummyThread-1: 500\n");
}

}  // namespace
}  // namespace weft
