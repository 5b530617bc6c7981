// Two clients that send the same file to the same place: the newcomer goes on, the other is told and does not fight.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "app/fixture.hpp"
#include "app/proxy.hpp"

namespace weft::app::test {
namespace {

constexpr std::size_t kSize = 12'000'000;

class TakeOver : public ::testing::Test {
 protected:
  TempFolder files;
  ServerProcess server;
  // The first client comes this far and no further.
  Proxy proxy{server.port(), {.from_client = 5'000'000}};

  void SetUp() override { write_file(files / "film", noise(kSize)); }
  std::vector<std::string> send_through_proxy(std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"send", "-j", "1"});
    options.insert(options.end(), {files / "film", proxy.address()});
    return weft(options);
  }
};

TEST_F(TakeOver, BySendGoesOnWhereTheOtherStands) {
  Process first(send_through_proxy());
  ASSERT_TRUE(eventually([&] { return proxy.is_holding(); }));
  const Result second = run(weft({"send", "--json", files / "film", server.address()}));
  EXPECT_EQ(second.code, 0) << second.err << first.err() << server.process().err();
  EXPECT_TRUE(same_bytes(read_file(server.file("film")), noise(kSize)));
  const auto summary = nlohmann::json::parse(second.out.substr(second.out.rfind("{\"bytes\"")));
  EXPECT_LT(summary["bytes_moved"].get<std::size_t>(), kSize - 3'000'000) << second.out;

  EXPECT_EQ(first.wait(), 1);
  EXPECT_NE(first.err().find("film: another client goes on with this upload"), std::string::npos) << first.err();
}

TEST_F(TakeOver, IsToldAsACodeToo) {
  Process first(send_through_proxy({"--json"}));
  ASSERT_TRUE(eventually([&] { return proxy.is_holding(); }));
  EXPECT_EQ(run(weft({"send", files / "film", server.address()})).code, 0);
  EXPECT_EQ(first.wait(), 1);
  EXPECT_NE(first.out().find(R"("code":"taken_over")"), std::string::npos) << first.out();
}

TEST_F(TakeOver, DoesNotKeepTheFirstFromItsOtherFiles) {
  write_file(files / "later", "one more");
  Process first(weft({"send", "-j", "1", files / "film", files / "later", proxy.address()}));
  ASSERT_TRUE(eventually([&] { return proxy.is_holding(); }));
  const Result second = run(weft({"send", files / "film", server.address()}));
  EXPECT_EQ(second.code, 0) << second.err << first.err() << server.process().err();
  EXPECT_EQ(first.wait(), 1);
  EXPECT_EQ(read_file(server.file("later")), "one more");
  EXPECT_TRUE(same_bytes(read_file(server.file("film")), noise(kSize)));
}

TEST_F(TakeOver, OfAnotherFileWithTheSameNameIsNone) {
  Process first(send_through_proxy());
  ASSERT_TRUE(eventually([&] { return proxy.is_holding(); }));
  TempFolder others;
  write_file(others / "film", "not the same size");
  EXPECT_EQ(run(weft({"send", others / "film", server.address()})).code, 0);
  EXPECT_EQ(read_file(server.file("film")), "not the same size");
  EXPECT_TRUE(first.is_running());
}

}  // namespace
}  // namespace weft::app::test
