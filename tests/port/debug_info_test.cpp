#include "port/debug_info.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace weft::test {
namespace {

[[gnu::noinline]] std::uintptr_t here() { return reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)); }

bool is_of_this_file(const port::SourceLine& line) { return line.file.ends_with("debug_info_test.cpp"); }

class DebugInfos : public testing::Test {
 protected:
  void SetUp() override {
    void* const library = ::dlopen("libdw.so.1", RTLD_NOW);
    if (!library) GTEST_SKIP() << "without libdw there are no lines";
    ::dlclose(library);
  }
};

// Whichever compiler built the tests: Clang writes no table that leads from an address to its compilation unit.
TEST_F(DebugInfos, KnowTheLineOfAnInstruction) {
  const port::DebugInfo info;
  const int before = __LINE__;
  const std::uintptr_t address = here();
  const std::vector<port::SourceLine> lines = info.lines_of(address - 1);
  ASSERT_FALSE(lines.empty());
  EXPECT_TRUE(is_of_this_file(lines.front())) << lines.front().file;
  EXPECT_EQ(lines.front().line, before + 1);
}

[[gnu::always_inline]] inline std::uintptr_t inlined() { return here(); }

TEST_F(DebugInfos, KnowWhereAnInlinedFunctionWasCalled) {
  const port::DebugInfo info;
  const int before = __LINE__;
  const std::uintptr_t address = inlined();
  const std::vector<port::SourceLine> lines = info.lines_of(address - 1);
  ASSERT_GE(lines.size(), 2u);
  EXPECT_NE(lines[0].inlined.find("inlined"), std::string::npos) << lines[0].inlined;
  EXPECT_TRUE(std::ranges::all_of(lines, is_of_this_file));
  EXPECT_EQ(lines[1].line, before + 1);
}

TEST_F(DebugInfos, KnowNothingOfWhatIsNoCode) {
  const port::DebugInfo info;
  EXPECT_TRUE(info.lines_of(16).empty());
  const int variable = 0;
  EXPECT_TRUE(info.lines_of(reinterpret_cast<std::uintptr_t>(&variable)).empty());
}

}  // namespace
}  // namespace weft::test
