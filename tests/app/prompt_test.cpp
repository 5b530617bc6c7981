#include "client/prompt.hpp"

#include <gtest/gtest.h>

#include "app/fixture.hpp"

namespace weft::app::test {
namespace {

using Kind = PromptCommand::Kind;

TEST(Prompt, LinesAreRead) {
  EXPECT_EQ(parse_prompt_line("msg|hi there").kind, Kind::Text);
  EXPECT_EQ(parse_prompt_line("msg|hi | there").argument, "hi | there");
  EXPECT_EQ(parse_prompt_line("msg|").kind, Kind::Text);
  EXPECT_EQ(parse_prompt_line("file|/a b").argument, "/a b");
  EXPECT_EQ(parse_prompt_line("q").kind, Kind::Quit);
  EXPECT_EQ(parse_prompt_line("Q").kind, Kind::Quit);
  for (const char* bad : {"", "quit", "msg", "msg hi", " q", "file|", "MSG|x", "|", "get|x"}) {
    EXPECT_EQ(parse_prompt_line(bad).kind, Kind::Bad) << bad;
  }
}

class PromptProgram : public ::testing::TestWithParam<bool> {};

TEST_P(PromptProgram, TakesMessagesAndFilesFromAPipe) {
  ServerProcess server;
  TempFolder files;
  write_file(files / "f", noise(10'000));
  Process::Options options;
  options.input = "msg|hello\nnonsense\nfile|" + files / "f" + "\nfile|/no/such\nmsg|last\nq\nmsg|too late\n";
  std::vector<std::string> arguments = {"send", server.address()};
  if (GetParam()) arguments.push_back("--plain");
  const Result result = run(weft(arguments), options);
  EXPECT_EQ(result.code, 1) << result.err;  // one file was missing
  EXPECT_NE(result.out.find("bad format\n"), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("/no/such"), std::string::npos) << result.err;
  EXPECT_TRUE(eventually([&] { return server.process().out().find("] last\n") != std::string::npos; }));
  EXPECT_NE(server.process().out().find("] hello\n"), std::string::npos);
  EXPECT_EQ(server.process().out().find("too late"), std::string::npos);
  EXPECT_TRUE(same_bytes(read_file(server.file("f")), noise(10'000)));
}

INSTANTIATE_TEST_SUITE_P(Protocols, PromptProgram, ::testing::Values(false, true));

TEST(Prompt, EndOfInputEndsItWell) {
  ServerProcess server;
  Process::Options options;
  options.input = "msg|only\n";
  EXPECT_EQ(run(weft({"send", server.address()}), options).code, 0);
  EXPECT_TRUE(eventually([&] { return server.process().out().find("] only\n") != std::string::npos; }));
}

}  // namespace
}  // namespace weft::app::test
