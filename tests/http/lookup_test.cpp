// Names that take long to look up. In this program getaddrinfo() is ours, for libcurl too.

#include <dlfcn.h>
#include <netdb.h>

#include <atomic>
#include <string_view>

#include "http/scenes.hpp"

namespace {

std::atomic<int> slow_lookups{0};
std::atomic<bool> held{true};

}  // namespace

extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints, addrinfo** result) {
  if (node && std::string_view{node} == "slow.invalid") {
    ++slow_lookups;
    held.wait(true);
    --slow_lookups;
    return EAI_AGAIN;
  }
  static const auto real = reinterpret_cast<decltype(&::getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return real(node, service, hints, result);
}

namespace weft::test {
namespace {

class HttpLookupTest : public HttpTest {};
WEFT_IN_EVERY_WORLD(HttpLookupTest);

// libcurl would wait for the name server when a request is given up, and with it all others.
TEST_P(HttpLookupTest, ASlowNameServerHoldsNobodyElseUp) {
  HttpServer server{always(http_answer("here"))};
  held = true;
  const std::string slow = "http://slow.invalid/";
  in_world([&](World& world) {
    Runner asking = world.spawn([&] { (void)http::get(slow); });
    EXPECT_TRUE(eventually([] { return slow_lookups == 1; }));
    EXPECT_EQ(http::get(server.url()).text(), "here");
    asking.kill();
    EXPECT_EQ(asking.join(), Ending::Cancelled);
    EXPECT_EQ(message_of<TimeoutError>([&] { (void)http::get(slow, {.timeout = 20ms}); }), "GET " + slow + ": timed out connecting");
    EXPECT_EQ(http::get(server.url(), {.timeout = kPatience}).text(), "here");
    EXPECT_GE(slow_lookups, 1) << "all the time";

    Runner patient = world.spawn([&] {
      EXPECT_EQ(message_of<http::ConnectionError>([&] { (void)http::get(slow); }), "GET " + slow + ": Could not resolve host: slow.invalid");
    });
    EXPECT_TRUE(patient.soon_waits_in(detail::WaitKind::Read));
    held = false;
    held.notify_all();
    EXPECT_EQ(patient.join(), Ending::Returned);
    EXPECT_TRUE(eventually([] { return slow_lookups == 0; }));
  });
}

}  // namespace
}  // namespace weft::test
