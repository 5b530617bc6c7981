#include <weft/net/address.hpp>

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <sstream>
#include <unordered_set>

namespace weft {
namespace {

TEST(Address, ParsesWhatItPrints) {
  for (const std::string text : {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80", "[::]:0",
                                 "[2001:db8::1]:443", "[::ffff:127.0.0.1]:9", "unix:/run/weft.sock", "unix:relative",
                                 "unix:@abstract", "unix:@", "unix:@with space", "unix:/\xc3\xa4"}) {
    EXPECT_EQ(Address::parse(text).to_string(), text);
  }
}

TEST(Address, ReportsItsParts) {
  const Address v4 = Address::parse("127.0.0.1:8001");
  EXPECT_EQ(v4.family(), Family::Ipv4);
  EXPECT_EQ(v4.host(), "127.0.0.1");
  EXPECT_EQ(v4.port(), 8001);
  EXPECT_EQ(v4.path(), "");
  const Address v6 = Address::parse("[::1]:8001");
  EXPECT_EQ(v6.family(), Family::Ipv6);
  EXPECT_EQ(v6.host(), "::1");
  EXPECT_EQ(v6.port(), 8001);
  EXPECT_EQ(v6.with_port(7).to_string(), "[::1]:7");
  const Address path = Address::parse("unix:/tmp/x");
  EXPECT_EQ(path.family(), Family::Unix);
  EXPECT_EQ(path.path(), "/tmp/x");
  EXPECT_FALSE(path.is_abstract());
  EXPECT_EQ(path.port(), 0);
  const Address abstract = Address::parse("unix:@x");
  EXPECT_EQ(abstract.path(), "x");
  EXPECT_TRUE(abstract.is_abstract());
  EXPECT_EQ(Address{}.family(), Family::Unspecified);
  EXPECT_EQ(Address{}.to_string(), "(no address)");
}

TEST(Address, AcceptsAScopeByNameOrNumber) {
  EXPECT_EQ(Address::parse("[fe80::1%lo]:1").scope(), 1u);
  EXPECT_EQ(Address::parse("[fe80::1%1]:1").to_string(), "[fe80::1%lo]:1");
  EXPECT_THROW((void)Address::parse("[fe80::1%no-such-interface]:1"), AddressError);
}

TEST(Address, RefusesTextsThatAreNone) {
  for (const std::string text : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:65536",
                                 "127.0.0.1:80 ", "127.0.0:80", "256.0.0.1:80", "localhost:80", "::1:80", "[::1:80",
                                 "[::1]80", "[::g]:80", "unix:"}) {
    EXPECT_THROW((void)Address::parse(text), AddressError) << text;
    EXPECT_EQ(Address::try_parse(text), std::nullopt) << text;
  }
  try {
    (void)Address::parse("localhost");
    FAIL();
  } catch (const AddressError& error) {
    EXPECT_STREQ(error.what(), "address \"localhost\": no port (write HOST:PORT)");
  }
}

TEST(Address, BoundsUnixNames) {
  const std::string longest(107, 'x');
  EXPECT_EQ(Address::unix_path(longest).path(), longest);
  EXPECT_EQ(Address::abstract(longest).path(), longest);
  EXPECT_THROW((void)Address::unix_path(longest + 'x'), AddressError);
  EXPECT_THROW((void)Address::abstract(longest + 'x'), AddressError);
  EXPECT_THROW((void)Address::unix_path(""), AddressError);
  EXPECT_THROW((void)Address::unix_path(std::string{"a\0b", 3}), AddressError);
}

TEST(Address, EscapesBytesThatDoNotPrintAndReadsThemBack) {
  const std::string nasty{"a\0b\n\\\x1b", 6};
  const Address address = Address::abstract(nasty);
  EXPECT_EQ(address.to_string(), "unix:@a\\x00b\\x0A\\x5C\\x1B");
  EXPECT_EQ(Address::parse(address.to_string()), address);
  const Address at = Address::unix_path("@not-abstract");
  EXPECT_EQ(Address::parse(at.to_string()), at);
  EXPECT_FALSE(Address::parse(at.to_string()).is_abstract());
}

TEST(Address, TellsNumericHostsFromNames) {
  EXPECT_EQ(Address::numeric("127.0.0.1", 1), Address::parse("127.0.0.1:1"));
  EXPECT_EQ(Address::numeric("::1", 1), Address::parse("[::1]:1"));
  EXPECT_EQ(Address::numeric("localhost", 1), std::nullopt);
  EXPECT_EQ(Address::numeric("", 1), std::nullopt);
}

TEST(Address, KnowsLoopbackAndAny) {
  for (const std::string text : {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/x"}) {
    EXPECT_TRUE(Address::parse(text).is_loopback()) << text;
  }
  for (const std::string text : {"128.0.0.1:1", "0.0.0.0:1", "[::2]:1", "[::ffff:8.8.8.8]:1"}) {
    EXPECT_FALSE(Address::parse(text).is_loopback()) << text;
  }
  EXPECT_TRUE(Address::parse("0.0.0.0:1").is_any());
  EXPECT_TRUE(Address::parse("[::]:1").is_any());
  EXPECT_FALSE(Address::parse("127.0.0.1:1").is_any());
}

TEST(Address, IsOrderedAndHashed) {
  std::set<Address> ordered;
  std::unordered_set<Address> hashed;
  for (int round = 0; round < 2; ++round) {
    for (const std::string text : {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.2:1", "[::1]:1", "[::2]:1", "[fe80::1%1]:1",
                                   "[fe80::1]:1", "unix:/x", "unix:/xy", "unix:@x", "unix:@"}) {
      EXPECT_EQ(ordered.insert(Address::parse(text)).second, round == 0) << text;
      EXPECT_EQ(hashed.insert(Address::parse(text)).second, round == 0) << text;
    }
  }
  EXPECT_EQ(ordered.size(), 11u);
  std::ostringstream out;
  out << *ordered.begin();
  EXPECT_EQ(out.str(), "unix:@");
}

TEST(Address, EqualPathsAreEqualHoweverTheKernelCountsThem) {
  sockaddr_un raw{};
  raw.sun_family = AF_UNIX;
  std::strcpy(raw.sun_path, "/tmp/x");
  const socklen_t header = offsetof(sockaddr_un, sun_path);
  const auto* any = reinterpret_cast<const sockaddr*>(&raw);
  EXPECT_EQ(Address::from_sockaddr(any, header + 6), Address::unix_path("/tmp/x"));
  EXPECT_EQ(Address::from_sockaddr(any, header + 7), Address::unix_path("/tmp/x"));
  EXPECT_EQ(Address::from_sockaddr(any, sizeof raw), Address::unix_path("/tmp/x"));
  EXPECT_EQ(Address::from_sockaddr(any, sizeof(sa_family_t)).path(), "");
  std::memset(raw.sun_path, 'y', sizeof raw.sun_path);  // a path without room for a NUL, which the kernel allows
  EXPECT_EQ(Address::from_sockaddr(any, sizeof raw).path(), std::string(108, 'y'));
}

TEST(Address, RefusesFamiliesItDoesNotKnow) {
  sockaddr raw{};
  raw.sa_family = AF_NETLINK;
  EXPECT_THROW((void)Address::from_sockaddr(&raw, sizeof raw), AddressError);
  raw.sa_family = AF_INET6;
  EXPECT_THROW((void)Address::from_sockaddr(&raw, sizeof raw), AddressError) << "too short";
}

}  // namespace
}  // namespace weft
