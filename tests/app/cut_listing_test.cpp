// A connection that breaks while the client is still being told what there is to receive.
#include <gtest/gtest.h>

#include "app/fixture.hpp"
#include "app/proxy.hpp"

namespace weft::app::test {
namespace {

TEST(Get, AsksAgainForAListingThatWasCut) {
  ServerProcess server;
  constexpr int kFiles = 400;
  const std::string tail(200, 'x');
  for (int i = 0; i < kFiles; ++i) write_file(server.file("many/" + std::to_string(i) + tail), std::to_string(i));

  const Proxy proxy(server.port(), {.from_server = 75'000});  // a good part of the listing, and not all of it
  const TempFolder target;
  const Result result = run(weft({"get", proxy.address() + "/many", target.path().string()}));

  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_GT(proxy.connections(), 1);
  ASSERT_EQ(files_in(target.path()).size(), static_cast<std::size_t>(kFiles));
  for (int i = 0; i < kFiles; ++i) {
    EXPECT_EQ(read_file(target / ("many/" + std::to_string(i) + tail)), std::to_string(i));
  }
}

}  // namespace
}  // namespace weft::app::test
