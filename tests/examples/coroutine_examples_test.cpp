// The examples of generators and greenlets print what their texts say.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>

#include "support/paths.hpp"

namespace weft::test {
namespace {

std::string output_of(const std::string& example) {
  const std::string command = "timeout 60 " + build_dir() + "/examples/" + example + " 2>&1";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe{::popen(command.c_str(), "r"), &::pclose};
  std::string output;
  char buffer[4096];
  while (const std::size_t size = std::fread(buffer, 1, sizeof buffer, pipe.get())) output.append(buffer, size);
  return output;
}

TEST(CoroutineExamples, Generator) {
  EXPECT_EQ(output_of("generator"),
            "fibonacci: 0 1 1 2 3 5 8 13 21 34\n"
            "sent 10, average 10\n"
            "sent 20, average 15\n"
            "sent 60, average 30\n"
            "told nothing, it ends\n"
            "/home/\n"
            "/home/ann/\n"
            "/home/ann/music/\n"
            "/home/bob/\n"
            "line 2\n"
            "in line 2 the generator is told: damaged\n"
            "it answers -2\n"
            "the file is closed\n"
            "closed, it has ended\n");
}

TEST(CoroutineExamples, GeneratorPipeline) {
  EXPECT_EQ(output_of("generator_pipeline"),
            "consumer says ready\n"
            "producer makes 1\n"
            "  consumer takes 1\n"
            "consumer says odd\n"
            "producer makes 2\n"
            "  consumer takes 2\n"
            "consumer says good\n"
            "producer makes 3\n"
            "  consumer takes 3\n"
            "consumer says odd\n"
            "one at a time: make 1 make 2 use 4, make 3 make 4 use 16, make 5 end\n");
}

TEST(CoroutineExamples, Greenlet) {
  EXPECT_EQ(output_of("greenlet"),
            "12 56 34 78\n"
            "first is waiting, second is dead\n"
            "verb \"open\", object \"door\"\n"
            "the reader is dead\n"
            "100 / 4 = 25\n"
            "divided by zero\n");
}

}  // namespace
}  // namespace weft::test
