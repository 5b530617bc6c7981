#include <weft/net/socket.hpp>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <numeric>

#include "net/contexts.hpp"
#include "net/scenes.hpp"
#include "support/descriptor_message.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using namespace std::string_view_literals;
using test::listener;
using test::tcp_pair;

Deadline soon() { return Deadline::after(30ms); }
Deadline patiently() { return Deadline::after(test::kPatience); }

template <class Exception, class F>
Exception thrown_by(F call, const std::string& where = "") {
  try {
    call();
  } catch (const Exception& error) {
    return error;
  }
  ADD_FAILURE() << "nothing thrown: " << where;
  std::abort();
}

std::string pattern(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i * 2654435761u) >> 13);
  return bytes;
}

class SocketTest : public test::ContextTest {};
WEFT_INSTANTIATE_CONTEXTS(SocketTest);

class SocketKillTest : public test::ContextTest {};
INSTANTIATE_TEST_SUITE_P(, SocketKillTest, ::testing::Values(test::ContextKind::OneWorker, test::ContextKind::TwoWorkers),
                         [](const auto& instance) { return test::name_of(instance.param); });

// ---- what is sent arrives

TEST_P(SocketTest, CarriesBytesBothWays) {
  run([] {
    auto [a, b] = tcp_pair();
    EXPECT_EQ(a.send("ping"sv), 4u);
    EXPECT_EQ(b.recv_exactly(4, patiently()), "ping");
    b.send_all("pong"sv);
    EXPECT_EQ(a.recv_exactly(4, patiently()), "pong");
    EXPECT_EQ(a.peer_address(), b.local_address());
    EXPECT_EQ(b.peer_address(), a.local_address());
  });
}

TEST_P(SocketTest, RecvWaitsUntilBytesCome) {
  run([] {
    auto [a, b] = tcp_pair();
    std::string got;
    test::Task reader = start([&] { got = b.recv(100, patiently()); });
    EXPECT_FALSE(reader.is_done_within(20ms));
    a.send_all("late"sv);
    reader.join();
    EXPECT_EQ(got, "late");
  });
}

TEST_P(SocketTest, AcceptWaitsUntilAClientComes) {
  run([] {
    Socket server = listener();
    Address from;
    test::Task accepting = start([&] { from = server.accept_with_address(patiently()).second; });
    EXPECT_FALSE(accepting.is_done_within(20ms));
    Socket client = create_connection(server.local_address());
    accepting.join();
    EXPECT_EQ(from, client.local_address());
  });
}

TEST_P(SocketTest, RecvReportsTheEndOfTheStreamAgainAndAgain) {
  run([] {
    auto [a, b] = tcp_pair();
    a.send_all("last words"sv);
    a.close();
    EXPECT_EQ(b.recv_exactly(10, patiently()), "last words");
    for (int i = 0; i < 3; ++i) EXPECT_EQ(b.recv(10, patiently()), "");
  });
}

TEST_P(SocketTest, RecvExactlySaysHowMuchCameBeforeTheEnd) {
  run([] {
    auto [a, b] = tcp_pair();
    a.send_all("abc"sv);
    a.shutdown(Socket::How::Write);
    std::array<std::byte, 10> buffer{};
    const auto error = thrown_by<EndOfStream>([&] { b.recv_exactly(buffer, patiently()); });
    EXPECT_EQ(error.received(), 3u);
    EXPECT_EQ(error.what(), "recv from " + a.local_address().to_string() + ": end of stream after 3 of 10 bytes");
    EXPECT_EQ(static_cast<char>(buffer[2]), 'c');
  });
}

TEST_P(SocketTest, RecvExactlySaysHowMuchCameBeforeTheDeadline) {
  run([] {
    auto [a, b] = tcp_pair();
    a.send_all("abc"sv);
    char buffer[10];
    const auto error = thrown_by<RecvTimeout>([&] { b.recv_exactly(buffer, sizeof buffer, soon()); });
    EXPECT_EQ(error.received(), 3u);
    a.send_all("defghij"sv);
    b.recv_exactly(buffer + 3, sizeof buffer - 3, patiently());
    EXPECT_EQ((std::string{buffer, 10}), "abcdefghij");
  });
}

TEST_P(SocketTest, SendAllCutsLargeMessagesAndWaitsForTheReader) {
  run([] {
    const std::string message = pattern(8u << 20);
    auto [a, b] = tcp_pair();
    test::Task writer = start([&] { a.send_all(message, patiently()); });
    EXPECT_EQ(b.recv_exactly(message.size(), patiently()), message);
    writer.join();
  });
}

TEST_P(SocketTest, SendIsPartialWhenTheBufferIsNearlyFull) {
  run([] {
    auto [a, b] = tcp_pair();
    const std::string& message = test::long_message();
    const std::size_t sent = a.send(message, patiently());
    EXPECT_GT(sent, 0u);
    EXPECT_LT(sent, message.size());
    EXPECT_TRUE(b.recv_exactly(sent, patiently()) == message.substr(0, sent));
  });
}

TEST_P(SocketTest, SendPartsJoinsPiecesAndContinuesInTheMiddleOfOne) {
  run([] {
    auto [a, b] = tcp_pair();
    std::vector<std::string> pieces;
    for (std::size_t i = 0; i < 100; ++i) pieces.push_back(pattern(i % 7 == 0 ? 0 : i * 997));
    const std::vector<std::string_view> parts(pieces.begin(), pieces.end());
    const std::string whole = std::accumulate(pieces.begin(), pieces.end(), ""s);
    test::Task writer = start([&] { a.send_parts(parts, patiently()); });
    EXPECT_EQ(b.recv_exactly(whole.size(), patiently()), whole);
    writer.join();
    a.send_parts({});
    EXPECT_EQ(b.try_recv_into(pieces[1].data(), 1), std::nullopt);
  });
}

TEST_P(SocketTest, SendAllThatRunsOutOfTimeSaysHowMuchWentOut) {
  run([] {
    auto [a, b] = tcp_pair();
    const std::string& message = test::long_message();
    const auto error = thrown_by<SendTimeout>([&] { a.send_all(message, Deadline::after(50ms)); });
    EXPECT_GT(error.sent(), 0u);
    EXPECT_LT(error.sent(), message.size());
    EXPECT_EQ(error.what(), "send to " + b.local_address().to_string() + ": timed out after " +
                                std::to_string(error.sent()) + " of 16777216 bytes");
    a.shutdown(Socket::How::Write);
    std::size_t arrived = 0;
    while (const std::size_t count = b.recv(1 << 20, patiently()).size()) arrived += count;
    EXPECT_EQ(arrived, error.sent());
  });
}

TEST_P(SocketTest, ManyConversationsAtOnce) {
  run([] {
    constexpr int kClients = 40;
    constexpr int kTurns = 50;
    Socket server = listener();
    const Address address = server.local_address();
    std::atomic<int> answers{0};
    std::vector<std::unique_ptr<test::Task>> tasks;
    for (int i = 0; i < kClients; ++i) {
      tasks.push_back(std::make_unique<test::Task>(GetParam(), [&, address] {
        Socket socket = create_connection(address);
        for (int turn = 0; turn < kTurns; ++turn) {
          const std::string question = pattern(static_cast<std::size_t>(turn) * 31 + 1);
          socket.send_all(question, patiently());
          if (socket.recv_exactly(question.size(), patiently()) == question) ++answers;
        }
      }));
    }
    for (int i = 0; i < kClients; ++i) {
      auto peer = std::make_shared<Socket>(server.accept(patiently()));
      tasks.push_back(std::make_unique<test::Task>(GetParam(), [peer] {
        char buffer[300];
        while (const std::size_t size = peer->recv_into(buffer, sizeof buffer, patiently())) {
          peer->send_all(buffer, size, patiently());
        }
      }));
    }
    for (auto& task : tasks) task->join();
    EXPECT_EQ(answers, kClients * kTurns);
  });
}

TEST_P(SocketTest, OneReaderAndOneWriterShareASocket) {
  run([] {
    const std::string message = pattern(4u << 20);
    auto [a, b] = tcp_pair();
    const auto exchange = [&](Socket& socket) {
      test::Task writer = start([&] { socket.send_all(message, patiently()); });
      EXPECT_TRUE(socket.recv_exactly(message.size(), patiently()) == message);
      writer.join();
    };
    test::Task other = start([&] { exchange(b); });
    exchange(a);
    other.join();
  });
}

// ---- families and types

TEST_P(SocketTest, SpeaksEveryFamily) {
  run([] {
    const std::string path = "unix:/tmp/" + test::unique_abstract_name();
    for (const std::string& address : {"127.0.0.1:0"s, "[::1]:0"s, "unix:@" + test::unique_abstract_name(), path}) {
      auto [a, b] = tcp_pair(address);
      a.send_all("hello"sv);
      EXPECT_EQ(b.recv_exactly(5, patiently()), "hello") << address;
      EXPECT_EQ(a.peer_address().family(), Address::parse(address).family());
      EXPECT_EQ(b.local_address(), a.peer_address());
    }
    EXPECT_EQ(::unlink(path.substr(5).c_str()), 0);
  });
}

TEST_P(SocketTest, PairsOfEveryTypeCarryMessages) {
  run([] {
    for (const SocketType type : {SocketType::Stream, SocketType::Datagram, SocketType::SequencedPacket}) {
      auto [a, b] = Socket::socketpair(type);
      test::Task writer = start([&] {
        sleep_for(5ms);
        a.send_all("one"sv);
        a.send_all("two"sv);
      });
      std::string got = b.recv(3, patiently());
      got += b.recv(3, patiently());
      writer.join();
      EXPECT_EQ(got, "onetwo");
    }
  });
}

TEST_P(SocketTest, DatagramsKeepTheirBordersAndNameTheirSender) {
  run([] {
    for (const std::string address : {"127.0.0.1:0", "[::1]:0"}) {
      Socket a = Socket::udp(Address::parse(address).family());
      Socket b = Socket::udp(Address::parse(address).family());
      a.bind(Address::parse(address));
      b.bind(Address::parse(address));
      test::Task writer = start([&] {
        sleep_for(5ms);
        for (const auto text : {"one"sv, ""sv, "three"sv}) EXPECT_EQ(a.sendto(text, b.local_address()), text.size());
      });
      for (const auto text : {"one"sv, ""sv, "thr"sv}) {
        const auto [bytes, sender] = b.recvfrom(3, patiently());
        EXPECT_EQ(bytes, text);
        EXPECT_EQ(sender, a.local_address());
      }
      writer.join();
    }
  });
}

TEST_P(SocketTest, DatagramSocketsCanBeConnected) {
  run([] {
    Socket a = Socket::udp();
    Socket b = Socket::udp();
    b.bind(Address::parse("127.0.0.1:0"));
    a.connect(b.local_address());
    a.send("direct"sv);
    EXPECT_EQ(b.recv(100, patiently()), "direct");
    a.connect(b.local_address());
    b.close();
    a.send("nobody there"sv);
    const auto error = thrown_by<OSError>([&] { (void)a.recv(100, patiently()); });
    EXPECT_EQ(error.errno_value(), ECONNREFUSED);
  });
}

TEST_P(SocketTest, SendtoAFullUnixReceiverGoesOnWhenThereIsRoom) {
  run([] {
    Socket receiver = Socket::open(Family::Unix, SocketType::Datagram);
    receiver.bind(Address::abstract(test::unique_abstract_name()));
    Socket sender = Socket::open(Family::Unix, SocketType::Datagram);
    constexpr int kMessages = 2000;
    test::Task writer = start([&] {
      for (int i = 0; i < kMessages; ++i) (void)sender.sendto(std::to_string(i), receiver.local_address(), patiently());
    });
    for (int i = 0; i < kMessages; ++i) EXPECT_EQ(receiver.recv(100, patiently()), std::to_string(i));
    writer.join();
  });
}

TEST_P(SocketTest, SendToAFullConnectedUnixReceiverGoesOnWhenThereIsRoom) {
  run([] {
    Socket receiver = Socket::open(Family::Unix, SocketType::Datagram);
    receiver.bind(Address::abstract(test::unique_abstract_name()));
    Socket sender = Socket::open(Family::Unix, SocketType::Datagram);
    sender.connect(receiver.local_address());
    constexpr int kMessages = 2000;
    test::Task writer = start([&] {
      for (int i = 0; i < kMessages; ++i) (void)sender.send(std::to_string(i), patiently());
    });
    for (int i = 0; i < kMessages; ++i) EXPECT_EQ(receiver.recv(100, patiently()), std::to_string(i));
    writer.join();
  });
}

TEST_P(SocketTest, ConnectToABusyUnixServerGoesOnWhenThereIsRoom) {
  run([] {
    Socket server = Socket::open(Family::Unix, SocketType::Stream);
    server.bind(Address::abstract(test::unique_abstract_name()));
    server.listen(0);
    test::Task clients = start([&] {
      for (int i = 0; i < 10; ++i) create_connection(server.local_address()).send_all("x"sv);
    });
    for (int i = 0; i < 10; ++i) EXPECT_EQ(server.accept(patiently()).recv(1, patiently()), "x");
    clients.join();
  });
}

// ---- waiting comes to an end

TEST_P(SocketTest, EveryWaitEndsAtItsDeadline) {
  run([] {
    for (test::WaitingScene& scene : test::waiting_scenes()) {
      const auto began = Clock::now();
      const auto error = thrown_by<TimeoutError>([&] { scene.call(scene.socket, soon()); }, scene.name);
      const auto took = Clock::now() - began;
      EXPECT_GE(took, 25ms) << scene.name;
      EXPECT_LT(took, 10s) << scene.name;
      EXPECT_NE(std::string{error.what()}.find(": timed out"), std::string::npos) << error.what();
      EXPECT_THROW(scene.call(scene.socket, Deadline::already()), TimeoutError) << scene.name;
    }
  });
}

TEST_P(SocketTest, EveryWaitEndsAtTheTimeoutOfTheSocket) {
  run([] {
    for (test::WaitingScene& scene : test::waiting_scenes()) {
      scene.socket.set_timeout(30ms);
      const auto began = Clock::now();
      EXPECT_THROW(scene.call(scene.socket, {}), TimeoutError) << scene.name;
      EXPECT_GE(Clock::now() - began, 25ms) << scene.name;
    }
  });
}

TEST_P(SocketTest, EveryWaitFailsWhenTheSocketIsClosed) {
  run([] {
    for (test::WaitingScene& scene : test::waiting_scenes()) {
      test::Task waiting = start([&] { scene.call(scene.socket, patiently()); });
      sleep_for(10ms);
      scene.socket.close();
      const auto error = thrown_by<OSError>([&] { waiting.join(); }, scene.name);
      EXPECT_EQ(error.errno_value(), EBADF) << scene.name;
      EXPECT_NE(std::string{error.what()}.find("closed"), std::string::npos) << error.what();
      const auto again = thrown_by<OSError>([&] { scene.call(scene.socket, patiently()); }, scene.name);
      EXPECT_EQ(again.errno_value(), EBADF) << scene.name;
      scene.socket.close();
      EXPECT_EQ(scene.socket.fd(), -1);
    }
  });
}

TEST_P(SocketTest, EveryWaitBecomesWouldBlockInNonBlockingMode) {
  run([] {
    for (test::WaitingScene& scene : test::waiting_scenes()) {
      scene.socket.set_blocking(false);
      try {
        scene.call(scene.socket, patiently());
        ADD_FAILURE() << scene.name << " did not fail";
      } catch (const WouldBlock& error) {
        EXPECT_EQ(error.errno_value(), scene.name == "connect" ? EINPROGRESS : EAGAIN) << error.what();
      } catch (const SendTimeout& error) {
        const bool may_send_some = scene.name.find("tcp") != std::string::npos;
        EXPECT_TRUE(error.sent() == 0 || may_send_some) << error.what();
      } catch (const RecvTimeout& error) {
        EXPECT_EQ(error.received(), 0u) << error.what();
      }
    }
  });
}

TEST_P(SocketKillTest, EveryWaitEndsWhenItsFiberIsKilled) {
  run([] {
    for (test::WaitingScene& scene : test::waiting_scenes()) {
      test::Task waiting = start([&] { scene.call(scene.socket, patiently()); });
      sleep_for(10ms);
      waiting.kill();
      EXPECT_TRUE(waiting.is_done_within(test::kPatience)) << scene.name;
      EXPECT_FALSE(waiting.finished()) << scene.name;
      EXPECT_TRUE(scene.socket.is_open()) << scene.name;
      EXPECT_THROW(scene.call(scene.socket, Deadline::already()), TimeoutError) << scene.name << ": still usable";
    }
  });
}

TEST_P(SocketKillTest, NothingIsLostWhenAKillRacesWithArrival) {
  run([] {
    auto [a, b] = tcp_pair();
    std::string got;
    for (int i = 0; i < 300; ++i) {
      test::Task reader = start([&] { got += b.recv(1, patiently()); });
      if (i % 3 != 0) yield();
      a.send_all("x"sv);
      if (i % 2 == 0) yield();
      reader.kill();
      EXPECT_TRUE(reader.is_done_within(test::kPatience));
    }
    a.shutdown(Socket::How::Write);
    for (std::string rest = b.recv(1000, patiently()); !rest.empty(); rest = b.recv(1000, patiently())) got += rest;
    EXPECT_EQ(got, std::string(300, 'x'));
  });
}

TEST_P(SocketTest, WaitsForReadinessWithoutTransferring) {
  run([] {
    auto [a, b] = tcp_pair();
    EXPECT_FALSE(b.wait_readable(Deadline::already()));
    EXPECT_FALSE(b.wait_readable(soon()));
    EXPECT_TRUE(b.wait_writable(soon()));
    a.send_all("x"sv);
    EXPECT_TRUE(b.wait_readable(patiently()));
    EXPECT_EQ(b.recv(10, patiently()), "x");
    EXPECT_FALSE(b.wait_readable(soon()));
    test::Task waiting = start([&] { EXPECT_TRUE(b.wait_readable(patiently())); });
    sleep_for(5ms);
    a.close();
    waiting.join();

    auto [c, d] = Socket::socketpair();
    test::fill(c);
    EXPECT_FALSE(c.wait_writable(soon()));
    test::Task draining = start([&] {
      while (d.recv(1 << 20, Deadline::after(100ms)).size() > 0) {
      }
    });
    EXPECT_TRUE(c.wait_writable(patiently()));
    EXPECT_THROW(draining.join(), TimeoutError);
  });
}

TEST_P(SocketTest, AFiberWhoseSocketIsAlwaysReadyLetsOthersRun) {
  run([] {
    std::atomic<bool> stop{false};
    test::Task busy = start([&] {
      auto [a, b] = Socket::socketpair();
      while (!stop) {
        a.send_all("x"sv);
        (void)b.recv(1);
      }
    });
    test::Task other = start([&] { stop = true; });
    EXPECT_TRUE(busy.is_done_within(test::kPatience));
  });
}

TEST_P(SocketKillTest, AFiberWhoseSocketIsAlwaysReadyCanBeKilled) {
  run([] {
    std::size_t sent = 0;
    std::string got;
    auto [a, b] = Socket::socketpair();
    test::Task busy = start([&] {
      for (;;) {
        a.send_all("x"sv);
        ++sent;
        got += b.recv(1);
      }
    });
    sleep_for(5ms);
    busy.kill();
    EXPECT_FALSE(busy.finished());
    a.close();
    got += b.recv(10, patiently());
    EXPECT_EQ(got.size(), sent);
  });
}

// ---- non-blocking mode and try_

TEST_P(SocketTest, TryNeverWaits) {
  run([] {
    Socket server = listener();
    EXPECT_FALSE(server.try_accept().has_value());
    Socket client = create_connection(server.local_address());
    std::optional<Socket> peer;
    for (const Deadline until = patiently(); !peer && !until.has_passed(); sleep_for(1ms)) peer = server.try_accept();
    ASSERT_TRUE(peer.has_value());
    char buffer[10];
    EXPECT_EQ(client.try_recv_into(buffer, sizeof buffer), std::nullopt);
    EXPECT_EQ(peer->try_send("abc"), 3u);
    std::optional<std::size_t> got;
    for (const Deadline until = patiently(); !got && !until.has_passed(); sleep_for(1ms)) {
      got = client.try_recv_into(buffer, sizeof buffer);
    }
    EXPECT_EQ(got, 3u);
    test::fill(client);
    EXPECT_EQ(client.try_send("x"), std::nullopt);
    EXPECT_GT(peer->recv(10, patiently()).size(), 0u);
  });
}

TEST_P(SocketTest, ConnectInNonBlockingModeIsFinishedWhenWritable) {
  run([] {
    Socket server = listener();
    Socket client = Socket::tcp();
    client.set_blocking(false);
    const auto error = thrown_by<WouldBlock>([&] { client.connect(server.local_address()); });
    EXPECT_EQ(error.errno_value(), EINPROGRESS);
    EXPECT_TRUE(client.wait_writable(patiently()));
    EXPECT_EQ(client.error(), 0);
    EXPECT_EQ(client.connect_ex(server.local_address()), 0);
    EXPECT_EQ(client.connect_ex(server.local_address()), EISCONN);
    EXPECT_EQ(client.peer_address(), server.local_address());
  });
}

TEST_P(SocketTest, ConnectInNonBlockingModeReportsItsFailureOnce) {
  run([] {
    Socket server = listener();
    const Address address = server.local_address();
    server.close();
    Socket client = Socket::tcp();
    client.set_blocking(false);
    const int result = client.connect_ex(address);
    if (result == EINPROGRESS) {
      EXPECT_TRUE(client.wait_writable(patiently()));
      EXPECT_EQ(client.error(), ECONNREFUSED);
      EXPECT_EQ(client.error(), 0);
    } else {
      EXPECT_EQ(result, ECONNREFUSED);
    }
  });
}

TEST_P(SocketTest, ConnectThatTimedOutCanBeContinued) {
  run([] {
    test::DeafServer deaf;
    Socket client = Socket::tcp();
    EXPECT_EQ(client.connect_ex(deaf.server.local_address(), soon()), ETIMEDOUT);
    for (std::size_t i = 0; i <= deaf.queued.size(); ++i) (void)deaf.server.try_accept();
    client.connect(deaf.server.local_address(), patiently());  // the kernel repeats the request after a second
    EXPECT_EQ(client.peer_address(), deaf.server.local_address());
  });
}

TEST_P(SocketTest, TimeoutsAndModesAreOneSettingAsInPython) {
  run([] {
    Socket socket = Socket::tcp();
    EXPECT_EQ(socket.timeout(), std::nullopt);
    EXPECT_TRUE(socket.is_blocking());
    socket.set_timeout(2s);
    EXPECT_EQ(socket.timeout(), Duration{2s});
    EXPECT_TRUE(socket.is_blocking());
    socket.set_blocking(false);
    EXPECT_EQ(socket.timeout(), Duration{0});
    socket.set_timeout(0s);
    EXPECT_FALSE(socket.is_blocking());
    socket.set_blocking(true);
    EXPECT_EQ(socket.timeout(), std::nullopt);
    EXPECT_THROW(socket.set_timeout(-1s), std::invalid_argument);

    Socket::set_default_timeout(3s);
    const Socket later = Socket::udp();
    Socket::set_default_timeout(std::nullopt);
    EXPECT_EQ(later.timeout(), Duration{3s});
    EXPECT_EQ(Socket::udp().timeout(), std::nullopt);
  });
}

TEST_P(SocketTest, ADeadlineGivenWinsOverTheTimeout) {
  run([] {
    auto [a, b] = tcp_pair();
    b.set_timeout(10ms);
    test::Task writer = start([&] {
      sleep_for(100ms);
      a.send_all("x"sv);
    });
    EXPECT_EQ(b.recv(1, patiently()), "x");
    writer.join();
  });
}

TEST_P(SocketTest, FlagsWork) {
  run([] {
    auto [a, b] = tcp_pair();
    char buffer[10];
    EXPECT_THROW((void)b.recv(10, patiently(), MSG_DONTWAIT), WouldBlock);
    EXPECT_THROW((void)b.recv(10, patiently(), MSG_ERRQUEUE), WouldBlock);
    a.send_all("peek"sv);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(b.recv(10, patiently(), MSG_PEEK), "peek");
    EXPECT_EQ(b.recv_into(buffer, 10, patiently()), 4u);
    EXPECT_EQ(b.recv_into(buffer, 0, patiently()), 0u) << "an empty read of a stream does not wait";

    auto [c, d] = Socket::socketpair(SocketType::Datagram);
    c.send_all("a long datagram"sv);
    EXPECT_EQ(d.recv_into(buffer, 4, patiently(), MSG_TRUNC | MSG_PEEK), 15u);
    EXPECT_EQ(d.recv(4, patiently(), MSG_TRUNC), "a lo");
  });
}

// ---- the three edge cases in which a short read does not mean that there is no more

TEST_P(SocketTest, ShortReadThenEndOfStreamIsSeen) {
  run([] {
    for (int round = 0; round < 50; ++round) {
      auto [a, b] = tcp_pair();
      test::Task reader = start([&] {
        std::string got;
        for (std::string bytes = b.recv(100, patiently()); !bytes.empty(); bytes = b.recv(100, patiently())) got += bytes;
        EXPECT_EQ(got, "short");
      });
      if (round % 2 == 0) sleep_for(200us);
      a.send_all("short"sv);
      if (round % 3 == 0) sleep_for(200us);
      a.close();  // the end arrives with the bytes, or a moment later
      reader.join();
    }
  });
}

TEST_P(SocketTest, BytesBehindAnUrgentMarkAreSeen) {
  run([] {
    for (int round = 0; round < 50; ++round) {
      auto [a, b] = tcp_pair();
      test::Task reader = start([&] {
        // Taken as ordinary data: the read before it stops at the mark, with more behind it.
        b.set_option(SOL_SOCKET, SO_OOBINLINE, 1);
        std::string got;
        while (got.size() < 9) got += b.recv(100, patiently());
        EXPECT_EQ(got, "before!af");
      });
      if (round % 2 == 0) sleep_for(200us);
      a.send_all("before"sv);
      if (round % 3 == 0) sleep_for(200us);
      EXPECT_EQ(a.send("!"sv, patiently(), MSG_OOB), 1u);
      a.send_all("af"sv);
      reader.join();
    }
  });
}

void send_descriptor(Socket& socket, int fd, std::string_view bytes) {
  test::DescriptorMessage passed{const_cast<char*>(bytes.data()), bytes.size()};
  std::memcpy(passed.descriptor(), &fd, sizeof fd);
  EXPECT_EQ(socket.sendmsg(passed.message, patiently()), bytes.size());
}

TEST_P(SocketTest, BytesBehindAPassedDescriptorAreSeen) {
  run([] {
    for (int round = 0; round < 50; ++round) {
      auto [a, b] = Socket::socketpair();
      test::Task reader = start([&] {
        std::string got;
        while (got.size() < 9) got += b.recv(100, patiently());
        EXPECT_EQ(got, "before!af");
      });
      if (round % 2 == 0) sleep_for(200us);
      a.send_all("before"sv);
      send_descriptor(a, STDOUT_FILENO, "!");
      a.send_all("af"sv);
      reader.join();
    }
  });
}

TEST_P(SocketTest, PassesDescriptorsCloseOnExec) {
  run([] {
    auto [a, b] = Socket::socketpair();
    test::TemporaryFile file{"x"};
    test::Task sender = start([&] {
      sleep_for(5ms);
      send_descriptor(a, file.fd(), "!");
    });
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    char byte = 0;
    iovec piece{&byte, 1};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    EXPECT_EQ(b.recvmsg(message, patiently()), 1u);
    sender.join();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    ASSERT_NE(header, nullptr);
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(::close(fd), 0);
  });
}

// ---- defaults

void expect_defaults(const Socket& socket, const std::string& how) {
  EXPECT_EQ(::fcntl(socket.fd(), F_GETFD), FD_CLOEXEC) << how;
  EXPECT_NE(::fcntl(socket.fd(), F_GETFL) & O_NONBLOCK, 0) << how;
  if (socket.type() == SocketType::Stream && socket.family() != Family::Unix) {
    EXPECT_EQ(socket.get_option(IPPROTO_TCP, TCP_NODELAY), 1) << how;
  }
}

TEST_P(SocketTest, EverySocketIsCloseOnExecAndWithoutDelay) {
  run([] {
    expect_defaults(Socket::tcp(), "tcp");
    expect_defaults(Socket::tcp(Family::Ipv6), "tcp6");
    expect_defaults(Socket::udp(), "udp");
    expect_defaults(Socket::open(Family::Unix, SocketType::SequencedPacket), "unix");
    auto [a, b] = tcp_pair();
    expect_defaults(a, "connected");
    expect_defaults(b, "accepted");
    auto [c, d] = Socket::socketpair();
    expect_defaults(c, "pair");
    expect_defaults(d, "pair");

    const int raw = ::socket(AF_INET, SOCK_STREAM, 0);
    Socket adopted = Socket::adopt(raw);
    EXPECT_EQ(adopted.fd(), raw);
    EXPECT_EQ(adopted.family(), Family::Ipv4);
    EXPECT_EQ(adopted.type(), SocketType::Stream);
    EXPECT_EQ(adopted.get_option(IPPROTO_TCP, TCP_NODELAY), 0) << "options of an adopted socket stay";
    adopted.bind(Address::ipv4("127.0.0.1", 0));
    adopted.listen();
    Socket client = create_connection(adopted.local_address());
    expect_defaults(adopted.accept(patiently()), "accepted from an adopted one");
    Socket again = create_connection(adopted.local_address());
    std::optional<Socket> tried;
    for (const Deadline until = patiently(); !tried && !until.has_passed(); sleep_for(1ms)) tried = adopted.try_accept();
    ASSERT_TRUE(tried.has_value());
    expect_defaults(*tried, "accepted by try");
  });
}

TEST_P(SocketTest, AdoptRefusesWhatIsNoSocketAndLeavesItAlone) {
  run([] {
    test::TemporaryFile file{"x"};
    const auto error = thrown_by<OSError>([&] { (void)Socket::adopt(file.fd()); });
    EXPECT_EQ(error.errno_value(), ENOTSOCK);
    EXPECT_EQ(error.what(), "adopt descriptor " + std::to_string(file.fd()) + ": Socket operation on non-socket");
    EXPECT_NE(::fcntl(file.fd(), F_GETFD), -1);
  });
}

std::atomic<int> pipe_signals{0};

TEST_P(SocketTest, NoSignalIsEverRaisedForABrokenConnection) {
  struct sigaction counting {};
  struct sigaction before {};
  counting.sa_handler = [](int) { ++pipe_signals; };
  sigaction(SIGPIPE, &counting, &before);
  pipe_signals = 0;
  run([] {
    test::TemporaryFile file{std::string(100'000, 'x')};
    iovec piece{const_cast<char*>("x"), 1};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    const std::string_view parts[] = {"a", "b"};
    const std::vector<std::function<void(Socket&)>> calls = {
        [](Socket& s) { (void)s.send("x"sv, patiently()); },
        [](Socket& s) { (void)s.try_send("x"); },
        [](Socket& s) { s.send_all("x"sv, patiently()); },
        [&](Socket& s) { s.send_parts(parts, patiently()); },
        [&](Socket& s) { (void)s.sendmsg(message, patiently()); },
        [&](Socket& s) { (void)s.sendfile(file.fd(), 0, 100'000, patiently()); },
    };
    for (const auto& call : calls) {
      for (const bool is_tcp : {true, false}) {
        auto [a, b] = is_tcp ? tcp_pair() : Socket::socketpair();
        a.shutdown(Socket::How::Write);
        EXPECT_EQ(thrown_by<OSError>([&] { call(a); }).errno_value(), EPIPE);
      }
    }
  });
  sigset_t pending;
  sigpending(&pending);
  EXPECT_EQ(sigismember(&pending, SIGPIPE), 0);
  EXPECT_EQ(pipe_signals, 0);
  sigaction(SIGPIPE, &before, nullptr);
}

// ---- sendfile

TEST_P(SocketTest, SendfileSendsThePartOfTheFileThatWasAskedFor) {
  run([] {
    const std::string content = pattern(6u << 20);
    test::TemporaryFile file{content};
    auto [a, b] = tcp_pair();
    std::size_t sent = 0;
    test::Task writer = start([&] {
      sent = a.sendfile(file.fd(), 12345, 5u << 20, patiently());
      sent += a.sendfile(file.fd(), static_cast<off_t>(content.size()) - 10, 1u << 20, patiently());
      sent += a.sendfile(file.fd(), static_cast<off_t>(content.size()) + 10, 1u << 20, patiently());
      sent += a.sendfile(file.fd(), 0, 0, patiently());
      a.close();
    });
    std::string got;
    for (std::string bytes = b.recv(1 << 20, patiently()); !bytes.empty(); bytes = b.recv(1 << 20, patiently())) got += bytes;
    writer.join();
    EXPECT_EQ(sent, (5u << 20) + 10u);
    EXPECT_TRUE(got == content.substr(12345, 5u << 20) + content.substr(content.size() - 10));
  });
}

TEST_P(SocketTest, SendfileThatRunsOutOfTimeSaysHowMuchWentOut) {
  run([] {
    const std::size_t size = test::long_message().size();
    auto [a, b] = tcp_pair();
    const auto error = thrown_by<SendTimeout>(
        [&] { (void)a.sendfile(test::long_file().fd(), 0, size, Deadline::after(50ms)); });
    a.shutdown(Socket::How::Write);
    std::size_t arrived = 0;
    while (const std::size_t count = b.recv(1 << 20, patiently()).size()) arrived += count;
    EXPECT_EQ(arrived, error.sent());
    EXPECT_LT(arrived, size);
  });
}

// ---- errors

TEST_P(SocketTest, ErrorsSayOperationPeerAndCause) {
  run([] {
    Socket server = listener();
    const std::string address = server.local_address().to_string();
    Socket other = Socket::tcp();
    EXPECT_EQ(thrown_by<OSError>([&] { other.bind(server.local_address()); }).what(),
              "bind to " + address + ": Address already in use");
    EXPECT_EQ(thrown_by<TimeoutError>([&] { (void)server.accept(Deadline::already()); }).what(),
              "accept on " + address + ": timed out");
    EXPECT_EQ(thrown_by<WouldBlock>([&] {
                server.set_blocking(false);
                (void)server.accept();
              }).what(),
              "accept on " + address + ": Resource temporarily unavailable");
    server.close();
    EXPECT_STREQ(thrown_by<OSError>([&] { (void)server.accept(); }).what(), "accept on closed socket: Bad file descriptor");
    EXPECT_EQ(thrown_by<OSError>([&] { Socket::tcp().connect(Address::parse(address)); }).what(),
              "connect to " + address + ": Connection refused");
    EXPECT_EQ(Socket::tcp().connect_ex(Address::parse(address)), ECONNREFUSED);
    Socket nothing;
    EXPECT_STREQ(thrown_by<OSError>([&] { (void)nothing.recv(1); }).what(), "recv from closed socket: Bad file descriptor");
    Socket udp = Socket::udp();
    EXPECT_EQ(thrown_by<OSError>([&] { udp.listen(); }).errno_value(), EOPNOTSUPP);
    EXPECT_EQ(thrown_by<OSError>([&] { (void)udp.accept(); }).errno_value(), EOPNOTSUPP);
    EXPECT_EQ(thrown_by<OSError>([&] { (void)udp.peer_address(); }).errno_value(), ENOTCONN);
  });
}

TEST_P(SocketTest, AResetNamesThePeerThatTheKernelHasForgotten) {
  run([] {
    for (const bool accepted : {true, false}) {
      auto [a, b] = tcp_pair();
      Socket& victim = accepted ? b : a;
      Socket& culprit = accepted ? a : b;
      const std::string peer = culprit.local_address().to_string();
      const linger at_once{1, 0};
      culprit.set_option(SOL_SOCKET, SO_LINGER, std::as_bytes(std::span{&at_once, 1}));
      culprit.close();
      const auto error = thrown_by<OSError>([&] { (void)victim.recv(1, patiently()); });
      EXPECT_EQ(error.what(), "recv from " + peer + ": Connection reset by peer");
      EXPECT_EQ(victim.name(), peer);
    }
  });
}

TEST_P(SocketTest, ShutdownWakesTheReaderWithTheEndOfTheStream) {
  run([] {
    auto [a, b] = tcp_pair();
    test::Task reader = start([&] { EXPECT_EQ(a.recv(10, patiently()), ""); });
    sleep_for(5ms);
    a.shutdown(Socket::How::Read);
    reader.join();
    b.shutdown(Socket::How::Both);
    EXPECT_EQ(b.recv(10, patiently()), "");
  });
}

// ---- running out of descriptors

// While it lives the process cannot open one more descriptor.
class NoMoreDescriptors {
 public:
  NoMoreDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit none = before_;
    const int lowest_free = ::dup(STDIN_FILENO);
    ::close(lowest_free);
    none.rlim_cur = static_cast<rlim_t>(lowest_free);
    setrlimit(RLIMIT_NOFILE, &none);
  }
  NoMoreDescriptors(const NoMoreDescriptors&) = delete;
  NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;
  ~NoMoreDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

std::chrono::nanoseconds cpu_time_of_process() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::seconds{used.tv_sec} + std::chrono::nanoseconds{used.tv_nsec};
}

TEST_P(SocketTest, AcceptWaitsWithoutSpinningUntilThereAreDescriptorsAgain) {
  run([] {
    Socket server = listener();
    Socket client = create_connection(server.local_address());
    auto none = std::make_unique<NoMoreDescriptors>();
    Socket peer;
    test::Task accepting = start([&] { peer = server.accept(patiently()); });
    const auto cpu_before = cpu_time_of_process();
    EXPECT_FALSE(accepting.is_done_within(300ms));
    EXPECT_LT(cpu_time_of_process() - cpu_before, 100ms);
    EXPECT_FALSE(server.try_accept().has_value());
    none.reset();
    accepting.join();
    client.send_all("at last"sv);
    EXPECT_EQ(peer.recv_exactly(7, patiently()), "at last");
  });
}

TEST_P(SocketTest, AcceptWithoutDescriptorsHonoursDeadlineModeAndClose) {
  run([] {
    Socket server = listener();
    const std::string address = server.local_address().to_string();
    Socket client = create_connection(server.local_address());
    const NoMoreDescriptors none;
    EXPECT_EQ(thrown_by<TimeoutError>([&] { (void)server.accept(soon()); }).what(),
              "accept on " + address + ": timed out (Too many open files)");
    server.set_blocking(false);
    EXPECT_EQ(thrown_by<OSError>([&] { (void)server.accept(); }).what(), "accept on " + address + ": Too many open files");
    server.set_blocking(true);
    test::Task accepting = start([&] { (void)server.accept(patiently()); });
    EXPECT_FALSE(accepting.is_done_within(200ms));
    const auto began = Clock::now();
    server.close();
    EXPECT_EQ(thrown_by<OSError>([&] { accepting.join(); }).errno_value(), EBADF);
    EXPECT_LT(Clock::now() - began, 100ms) << "it does not sleep its pause out";
  });
}

TEST_P(SocketKillTest, AcceptWithoutDescriptorsCanBeKilled) {
  run([] {
    Socket server = listener();
    Socket client = create_connection(server.local_address());
    const NoMoreDescriptors none;
    test::Task accepting = start([&] { (void)server.accept(patiently()); });
    EXPECT_FALSE(accepting.is_done_within(50ms));
    accepting.kill();
    EXPECT_FALSE(accepting.finished());
  });
}

// ---- ownership

TEST_P(SocketTest, DetachGivesTheDescriptorUpOpen) {
  run([] {
    auto [a, b] = tcp_pair();
    const int before = a.fd();
    test::Task reader = start([&] { (void)a.recv(1, patiently()); });
    sleep_for(10ms);
    const int fd = a.detach();
    EXPECT_EQ(fd, before);
    EXPECT_EQ(thrown_by<OSError>([&] { reader.join(); }).errno_value(), EBADF);
    EXPECT_FALSE(a.is_open());
    EXPECT_EQ(a.detach(), -1);
    a = Socket::adopt(fd);
    a.send_all("still there"sv);
    EXPECT_EQ(b.recv_exactly(11, patiently()), "still there");
  });
}

TEST_P(SocketTest, MovingKeepsEverything) {
  run([] {
    auto [a, b] = tcp_pair();
    a.set_timeout(5s);
    const int fd = a.fd();
    Socket moved = std::move(a);
    EXPECT_EQ(moved.fd(), fd);
    EXPECT_EQ(moved.timeout(), Duration{5s});
    EXPECT_EQ(moved.name(), b.local_address().to_string());
    Socket target = Socket::udp();
    const int replaced = target.fd();
    target = std::move(moved);
    EXPECT_EQ(target.fd(), fd);
    EXPECT_EQ(::fcntl(replaced, F_GETFD), -1) << "what was assigned to is closed";
    target.send_all("x"sv);
    EXPECT_EQ(b.recv(1, patiently()), "x");
  });
}

TEST_P(SocketTest, NumbersOfClosedSocketsAreNotConfusedWithNewOnes) {
  run([] {
    for (int round = 0; round < 200; ++round) {
      auto [a, b] = tcp_pair();
      test::Task reader = start([&] {
        try {
          for (;;) (void)b.recv(1, patiently());
        } catch (const OSError& error) {
          EXPECT_EQ(error.errno_value(), EBADF);
        }
      });
      if (round % 2 == 0) yield();
      b.close();
      auto [c, d] = tcp_pair();  // probably gets the number
      c.send_all("for d"sv);
      EXPECT_EQ(d.recv_exactly(5, patiently()), "for d");
      reader.join();
    }
  });
}

}  // namespace
}  // namespace weft
