#include <weft/net/connect.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include <weft/net/resolver.hpp>

#include "net/connect_to_any.hpp"
#include "net/contexts.hpp"
#include "net/scenes.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using test::listener;

Deadline patiently() { return Deadline::after(test::kPatience); }

// An address where nobody listens.
Address refusing(const std::string& host = "127.0.0.1:0") { return listener(host).local_address(); }

class ConnectTest : public test::ContextTest {};
WEFT_INSTANTIATE_CONTEXTS(ConnectTest);

TEST_P(ConnectTest, ReachesAServerByNameOrNumber) {
  run([] {
    Socket server = listener();
    const std::uint16_t port = server.local_address().port();
    for (const std::string host : {"127.0.0.1", "localhost"}) {
      Socket client = create_connection(host, port, {.timeout = 10s});
      Socket peer = server.accept(patiently());
      client.send_all("x", patiently());
      EXPECT_EQ(peer.recv(1, patiently()), "x");
      EXPECT_TRUE(client.is_blocking());
      EXPECT_EQ(client.timeout(), std::nullopt);
    }
    Socket server6 = listener("[::1]:0");
    EXPECT_EQ(create_connection("::1", server6.local_address().port()).peer_address(), server6.local_address());
  });
}

TEST_P(ConnectTest, ReachesUnixServers) {
  run([] {
    const Address address = Address::abstract(test::unique_abstract_name());
    Socket server = create_server(address);
    EXPECT_EQ(create_connection(address, {.timeout = 10s}).peer_address(), address);
  });
}

TEST_P(ConnectTest, NamesTheOneAddressThatFailed) {
  run([] {
    const Address address = refusing();
    for (const bool by_host : {true, false}) {
      try {
        (void)(by_host ? create_connection("127.0.0.1", address.port()) : create_connection(address));
        ADD_FAILURE();
      } catch (const OSError& error) {
        EXPECT_EQ(error.what(), "connect to " + address.to_string() + ": Connection refused");
        EXPECT_EQ(error.errno_value(), ECONNREFUSED);
      }
    }
  });
}

TEST_P(ConnectTest, NamesEveryAddressThatFailedAndWhy) {
  run([] {
    const Address a = refusing();
    const Address b = refusing("[::1]:0");
    const Address c = refusing();
    try {
      (void)detail::connect_to_any("weft.test:1", {a, c, b}, {}, patiently());
      ADD_FAILURE();
    } catch (const OSError& error) {
      // Families take turns.
      EXPECT_EQ(error.what(), "connect to weft.test:1: " + a.to_string() + ": Connection refused, " + b.to_string() +
                                  ": Connection refused, " + c.to_string() + ": Connection refused");
    }
  });
}

TEST_P(ConnectTest, GoesOnAtOnceWhenAnAddressRefuses) {
  run([] {
    Socket server = listener();
    const auto began = Clock::now();
    const ConnectOptions options{.attempt_delay = 10s};
    Socket client =
        detail::connect_to_any("weft.test:1", {refusing(), refusing("[::1]:0"), server.local_address()}, options, patiently());
    EXPECT_EQ(client.peer_address(), server.local_address());
    EXPECT_LT(Clock::now() - began, 5s);
  });
}

TEST_P(ConnectTest, TriesTheNextAddressBesideOneThatIsSilent) {
  run([] {
    test::DeafServer deaf;
    Socket server = listener("[::1]:0");
    const auto began = Clock::now();
    Socket client =
        detail::connect_to_any("weft.test:1", {deaf.server.local_address(), server.local_address()}, {}, patiently());
    EXPECT_EQ(client.peer_address(), server.local_address());
    EXPECT_GE(Clock::now() - began, 240ms);
    EXPECT_LT(Clock::now() - began, 5s);
    EXPECT_TRUE(client.is_blocking());
  });
}

TEST_P(ConnectTest, AnEarlierAttemptMayStillWin) {
  run([] {
    test::DeafServer first;
    test::DeafServer second;
    test::Task helper = start([&] {
      sleep_for(150ms);
      for (std::size_t i = 0; i <= first.queued.size(); ++i) (void)first.server.try_accept();
    });
    const ConnectOptions options{.attempt_delay = 20ms};
    Socket client = detail::connect_to_any("weft.test:1", {first.server.local_address(), second.server.local_address()},
                                           options, patiently());
    EXPECT_EQ(client.peer_address(), first.server.local_address());
    helper.join();
  });
}

TEST_P(ConnectTest, OneDeadlineCoversAllAttempts) {
  run([] {
    test::DeafServer first;
    test::DeafServer second;
    const std::vector<Address> addresses{first.server.local_address(), refusing(), second.server.local_address()};
    const auto began = Clock::now();
    try {
      (void)detail::connect_to_any("weft.test:1", addresses, {.attempt_delay = 20ms}, Deadline::after(100ms));
      ADD_FAILURE();
    } catch (const TimeoutError& error) {
      EXPECT_EQ(error.what(), "connect to weft.test:1: timed out (" + addresses[1].to_string() +
                                  ": Connection refused), no answer from " + addresses[0].to_string() +
                                  ", no answer from " + addresses[2].to_string());
    }
    EXPECT_GE(Clock::now() - began, 95ms);
    EXPECT_LT(Clock::now() - began, 10s);
    EXPECT_THROW((void)create_connection("127.0.0.1", addresses[0].port(), {.timeout = 30ms}), TimeoutError);
    EXPECT_THROW((void)create_connection(addresses[0], {.timeout = 30ms}), TimeoutError);
    EXPECT_THROW((void)create_connection("localhost", addresses[0].port(), {.deadline = Deadline::already()}), TimeoutError);
  });
}

TEST_P(ConnectTest, LosersAreClosed) {
  run([] {
    test::DeafServer deaf;
    Socket server = listener("[::1]:0");
    const int before = ::dup(STDIN_FILENO);
    {
      Socket client =
          detail::connect_to_any("weft.test:1", {deaf.server.local_address(), server.local_address()}, {.attempt_delay = 20ms}, patiently());
      Socket peer = server.accept(patiently());
    }
    ::close(before);
    const int after = ::dup(STDIN_FILENO);
    ::close(after);
    EXPECT_LE(after, before + 2) << "the reactor of a runtime may have opened its own";
  });
}

TEST_P(ConnectTest, ComesFromTheSourceAddressAskedFor) {
  run([] {
    Socket server = listener();
    const Address source = Address::parse("127.0.0.2:0");
    Socket client = create_connection("localhost", server.local_address().port(), {.source_address = source});
    EXPECT_EQ(client.local_address().host(), "127.0.0.2");
    EXPECT_NE(client.local_address().port(), 0);
    EXPECT_EQ(server.accept(patiently()).peer_address(), client.local_address());
    try {
      (void)create_connection(server.local_address(), {.source_address = Address::parse("192.0.2.77:0")});
      ADD_FAILURE();
    } catch (const OSError& error) {
      EXPECT_STREQ(error.what(), "bind to 192.0.2.77:0: Cannot assign requested address");
    }
  });
}

class ConnectKillTest : public test::ContextTest {};
INSTANTIATE_TEST_SUITE_P(, ConnectKillTest, ::testing::Values(test::ContextKind::OneWorker, test::ContextKind::TwoWorkers),
                         [](const auto& instance) { return test::name_of(instance.param); });

TEST_P(ConnectKillTest, EndsWhenKilled) {
  run([] {
    test::DeafServer first;
    test::DeafServer second;
    for (const Duration delay : {Duration{1ms}, Duration{10s}}) {
      test::Task connecting = start([&] {
        (void)detail::connect_to_any("weft.test:1", {first.server.local_address(), second.server.local_address()},
                                     {.attempt_delay = delay}, patiently());
      });
      sleep_for(30ms);
      connecting.kill();
      EXPECT_FALSE(connecting.finished());
    }
  });
}

}  // namespace
}  // namespace weft
