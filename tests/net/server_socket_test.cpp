#include <weft/net/server_socket.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "net/contexts.hpp"
#include "net/scenes.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

Deadline patiently() { return Deadline::after(test::kPatience); }

class ServerSocketTest : public test::ContextTest {};
WEFT_INSTANTIATE_CONTEXTS(ServerSocketTest);

TEST_P(ServerSocketTest, LetsTheKernelPickAPort) {
  run([] {
    Socket server = create_server(Address::parse("127.0.0.1:0"));
    EXPECT_NE(server.local_address().port(), 0);
    Socket client = create_connection(server.local_address());
    EXPECT_EQ(server.accept(patiently()).peer_address(), client.local_address());
  });
}

TEST_P(ServerSocketTest, AcceptsAHostByName) {
  run([] {
    Socket server = create_server("localhost", 0);
    EXPECT_TRUE(server.local_address().is_loopback());
  });
}

// This one listens beyond loopback, which is what it is about; it accepts one local client.
TEST_P(ServerSocketTest, AnyHostServesBothFamilies) {
  run([] {
    Socket server = create_server("", 0);
    const std::uint16_t port = server.local_address().port();
    Socket v4 = create_connection("127.0.0.1", port, {.timeout = 10s});
    EXPECT_EQ(server.accept(patiently()).peer_address().port(), v4.local_address().port());
    if (server.family() != Family::Ipv6) return;  // a machine without IPv6
    Socket v6 = create_connection("::1", port, {.timeout = 10s});
    EXPECT_EQ(server.accept(patiently()).peer_address(), v6.local_address());
  });
}

TEST_P(ServerSocketTest, WithoutDualStackIpv6LeavesThePortToIpv4) {
  run([] {
    Socket v6 = create_server(Address::parse("[::1]:0"), {.dual_stack = false});
    const std::uint16_t port = v6.local_address().port();
    try {
      Socket v4 = create_server(Address::ipv4("127.0.0.1", port));
      EXPECT_EQ(v4.local_address().port(), port);
    } catch (const OSError& error) {
      EXPECT_EQ(error.errno_value(), EADDRINUSE) << "the port may belong to a stranger";
    }
  });
}

TEST_P(ServerSocketTest, ATakenPortIsAnErrorThatNamesIt) {
  run([] {
    Socket server = create_server(Address::parse("127.0.0.1:0"));
    try {
      (void)create_server(server.local_address());
      ADD_FAILURE();
    } catch (const OSError& error) {
      EXPECT_EQ(error.what(), "bind to " + server.local_address().to_string() + ": Address already in use");
    }
  });
}

TEST_P(ServerSocketTest, APortWithLingeringConnectionsCanBeTakenOver) {
  run([] {
    Socket server = create_server(Address::parse("127.0.0.1:0"));
    const Address address = server.local_address();
    Socket client = create_connection(address);
    server.accept(patiently()).close();  // closed first by the server: TIME_WAIT is on its side
    EXPECT_EQ(client.recv(1, patiently()), "");
    client.close();
    server.close();
    EXPECT_EQ(create_server(address).local_address(), address);
  });
}

TEST_P(ServerSocketTest, SeveralServersMaySharePortsWhenAllAgree) {
  run([] {
    Socket first = create_server(Address::parse("127.0.0.1:0"), {.reuse_port = true});
    Socket second = create_server(first.local_address(), {.reuse_port = true});
    EXPECT_THROW((void)create_server(first.local_address()), OSError);
  });
}

TEST_P(ServerSocketTest, AUnixPathMustBeFree) {
  run([] {
    const std::string path = "/tmp/" + test::unique_abstract_name();
    {
      Socket server = create_server(Address::unix_path(path));
      EXPECT_EQ(create_connection(Address::unix_path(path)).peer_address(), Address::unix_path(path));
    }
    EXPECT_THROW((void)create_server(Address::unix_path(path)), OSError);
    EXPECT_EQ(::unlink(path.c_str()), 0);
  });
}

}  // namespace
}  // namespace weft
