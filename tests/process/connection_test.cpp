#include <weft/process/connection.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <weft/fiber/this_fiber.hpp>
#include <weft/process/wait.hpp>
#include <weft/queue/select.hpp>

#include "process/transports.hpp"

#include "support/fork.hpp"

namespace weft::test {
namespace {

using namespace std::string_literals;
using process::Connection;

Deadline soon() {
  return Deadline::after(20ms);
}

std::string patterned(std::size_t size, unsigned seed = 0) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i * 31 + i / 251 + seed) & 0xff);
  return bytes;
}

// The error number a call failed with; 0: it did not.
template <class F>
int error_of(F call) {
  try {
    call();
  } catch (const OSError& error) {
    return error.errno_value();
  }
  return 0;
}

template <class F>
std::string text_of_protocol_error(F call) {
  try {
    call();
  } catch (const ProtocolError& error) {
    return error.what();
  }
  return "no error";
}

class ConnectionTest : public TransportTest {};
INSTANTIATE_TEST_SUITE_P(
    , ConnectionTest,
    testing::Combine(testing::Values(ContextKind::Thread, ContextKind::OneWorker, ContextKind::TwoWorkers),
                     testing::Values(Transport::Pair, Transport::OneWay, Transport::SystemPipe,
                                     Transport::UnixSocket, Transport::Tcp)),
    [](const auto& instance) {
      return name_of(std::get<0>(instance.param)) + name_of(std::get<1>(instance.param));
    });

TEST_P(ConnectionTest, CarriesMessagesWholeAndInOrder) {
  run([] {
    auto [out, in] = ends();
    for (const std::size_t size : {0, 1, 3, 60, 4096, 16384, 16385}) {
      out.send_bytes(patterned(size));
      out.send_bytes("next");
      EXPECT_EQ(in.recv_bytes(patiently()), patterned(size)) << size;
      EXPECT_EQ(in.recv_bytes(patiently()), "next") << size;
    }
  });
}

TEST_P(ConnectionTest, CarriesMessagesFarLargerThanAnyBuffer) {
  run([] {
    auto [out, in] = ends();
    const std::string message = patterned(5'000'000);
    Task sender = start([&out = out, &message] {
      out.send_bytes(message, patiently());
      out.send_bytes("behind it", patiently());
    });
    EXPECT_TRUE(in.recv_bytes(patiently()) == message);
    EXPECT_EQ(in.recv_bytes(patiently()), "behind it");
    sender.join();
  });
}

TEST_P(ConnectionTest, IsForTheWaysItWasMadeFor) {
  run([] {
    auto [out, in] = ends();
    EXPECT_TRUE(out.writable());
    EXPECT_TRUE(in.readable());
    EXPECT_EQ(out.readable(), !is_one_way(transport()));
    EXPECT_EQ(in.writable(), !is_one_way(transport()));
    if (is_one_way(transport())) {
      EXPECT_THROW((void)out.recv_bytes(soon()), InvalidStateError);
      EXPECT_THROW((void)out.poll(), InvalidStateError);
      EXPECT_THROW(in.send_bytes("x", soon()), InvalidStateError);
    } else {
      in.send_bytes("back");
      EXPECT_EQ(out.recv_bytes(patiently()), "back");
    }
  });
}

TEST_P(ConnectionTest, EndsWhenTheOtherEndIsClosed) {
  run([] {
    auto [out, in] = ends();
    out.send_bytes("last");
    out.close();
    EXPECT_TRUE(out.closed());
    EXPECT_EQ(out.fileno(), -1);
    EXPECT_TRUE(in.poll(patiently()));
    EXPECT_EQ(in.recv_bytes(patiently()), "last");
    EXPECT_THROW((void)in.recv_bytes(patiently()), EndOfStream);
    EXPECT_THROW((void)in.recv_bytes(patiently()), EndOfStream);
    EXPECT_TRUE(in.poll());
    EXPECT_EQ(error_of([&out = out] { out.send_bytes("x"); }), EBADF);
  });
}

TEST_P(ConnectionTest, SendingToAClosedEndFailsWithoutASignal) {
  run([] {
    auto [out, in] = ends();
    in.close();
    // TCP learns of it by the answer to the first message.
    int error = 0;
    for (const Deadline deadline = patiently(); error == 0 && !deadline.has_passed();) {
      error = error_of([&out = out] { out.send_bytes("nobody reads this", patiently()); });
    }
    EXPECT_TRUE(error == EPIPE || error == ECONNRESET) << error;
  });
}

TEST_P(ConnectionTest, MessagesOfSeveralSendersAndReceiversAreNeverTorn) {
  run([] {
    auto [out, in] = ends();
    constexpr int kSenders = 4, kReceivers = 3, kEach = 60;
    std::vector<std::unique_ptr<Task>> senders, receivers;
    std::array<std::atomic<int>, kSenders> sent_by{};
    for (int s = 0; s < kSenders; ++s) {
      senders.push_back(std::make_unique<Task>(kind(), [&out = out, s] {
        for (int i = 0; i < kEach; ++i) {
          const std::size_t size = i % 7 == 0 ? 150'000 : static_cast<std::size_t>(i);
          out.send_bytes(static_cast<char>(s) + patterned(size, static_cast<unsigned>(s)), patiently());
        }
      }));
    }
    std::atomic<int> wrong{0};
    for (int r = 0; r < kReceivers; ++r) {
      receivers.push_back(std::make_unique<Task>(kind(), [&, &in = in] {
        for (;;) {
          const std::string message = in.recv_bytes(patiently());
          if (message == "end") return;
          const auto sender = static_cast<unsigned>(message.at(0));
          if (sender >= kSenders || message.substr(1) != patterned(message.size() - 1, sender)) ++wrong;
          if (sender < kSenders) ++sent_by[sender];
        }
      }));
    }
    for (auto& sender : senders) sender->join();
    for (int r = 0; r < kReceivers; ++r) out.send_bytes("end", patiently());
    for (auto& receiver : receivers) receiver->join();
    EXPECT_EQ(wrong, 0);
    for (auto& count : sent_by) EXPECT_EQ(count, kEach);
  });
}

TEST_P(ConnectionTest, ReceivesIntoTheCallersMemory) {
  run([] {
    auto [out, in] = ends();
    std::array<std::byte, 8> buffer;
    out.send_bytes("12345678");
    out.send_bytes("");
    EXPECT_EQ(in.recv_bytes_into(buffer, patiently()), 8u);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(buffer.data()), 8), "12345678");
    EXPECT_EQ(in.recv_bytes_into(buffer, patiently()), 0u);
    out.send_bytes("nine bytes");
    try {
      (void)in.recv_bytes_into(buffer, patiently());
      ADD_FAILURE() << "it fitted";
    } catch (const process::BufferTooShort& error) {
      EXPECT_EQ(error.message(), "nine bytes");
    }
    out.send_bytes("goes on");
    EXPECT_EQ(in.recv_bytes(patiently()), "goes on");
  });
}

TEST_P(ConnectionTest, AMessageThatIsTooLongEndsReceiving) {
  run([] {
    auto [out, in] = ends();
    out.send_bytes(std::string(100, 'x'));
    EXPECT_EQ(in.recv_bytes(patiently(), 100).size(), 100u);
    out.send_bytes(std::string(101, 'x'));
    EXPECT_NE(text_of_protocol_error([&in = in] { (void)in.recv_bytes(patiently(), 100); }).find("101 bytes"),
              std::string::npos);
    EXPECT_FALSE(in.readable());
    EXPECT_EQ(in.closed(), is_one_way(transport()));
    EXPECT_THROW((void)in.recv_bytes(patiently()), InvalidStateError);
  });
}

TEST_P(ConnectionTest, WaitsNoLongerThanItsDeadline) {
  run([] {
    auto [out, in] = ends();
    EXPECT_FALSE(in.poll());
    EXPECT_FALSE(in.poll(5ms));
    EXPECT_THROW((void)in.recv_bytes(soon()), TimeoutError);
    EXPECT_THROW((void)in.recv_bytes(Deadline::already()), TimeoutError);
    out.send_bytes("late");
    EXPECT_TRUE(in.poll(patiently()));
    EXPECT_EQ(in.recv_bytes(Deadline::already()), "late");
  });
}

TEST_P(ConnectionTest, ASendThatRunsOutOfTimeInTheMiddleEndsTheStreamForBoth) {
  run([] {
    auto [out, in] = ends();
    EXPECT_THROW(out.send_bytes(std::string(50'000'000, 'x'), soon()), TimeoutError);
    const int again = error_of([&out = out] { out.send_bytes("x", soon()); });
    EXPECT_TRUE(again == EPIPE || again == EBADF) << again;
    EXPECT_NE(
        text_of_protocol_error([&in = in] { (void)in.recv_bytes(patiently()); }).find("inside a message"),
        std::string::npos);
  });
}

TEST_P(ConnectionTest, WhatWasSentBeforeASendRanOutOfTimeIsThere) {
  run([] {
    auto [out, in] = ends();
    const std::string message = patterned(2000);
    std::size_t sent = 0;
    try {
      for (;; ++sent) out.send_bytes(message, soon());
    } catch (const TimeoutError&) {
    }
    EXPECT_GT(sent, 0u);
    for (std::size_t i = 0; i < sent; ++i) ASSERT_TRUE(in.recv_bytes(patiently()) == message);
  });
}

TEST_P(ConnectionTest, ClosingWakesWhoeverWaits) {
  run([] {
    auto [out, in] = ends();
    std::atomic<int> error{0};
    Task receiver = start([&in = in, &error] { error = error_of([&in] { (void)in.recv_bytes(); }); });
    EXPECT_FALSE(receiver.is_done_within(10ms));
    in.close();
    receiver.join();
    EXPECT_EQ(error, EBADF);
  });
}

TEST_P(ConnectionTest, SelectWaitsForAMessageBesideOtherThings) {
  run([] {
    auto [out, in] = ends();
    int chosen = 0;
    EXPECT_EQ(select(in.on_readable([&] { chosen = 1; }), after(5ms, [&] { chosen = 2; })), 1u);
    EXPECT_EQ(chosen, 2);
    Task sender = start([&out = out] { out.send_bytes("now"); });
    EXPECT_EQ(select(in.on_readable([&] { chosen = 1; }), after(kPatience, [] {})), 0u);
    EXPECT_EQ(chosen, 1);
    EXPECT_EQ(in.recv_bytes(patiently()), "now");
    EXPECT_EQ(select(out.on_writable([&] { chosen = 3; })), 0u);
    EXPECT_EQ(chosen, 3);
  });
}

TEST_P(ConnectionTest, WaitsForManyAtOnce) {
  run([] {
    auto [out, in] = ends();
    auto [other_out, other_in] = process::pipe(false);
    std::swap(other_out, other_in);
    EXPECT_TRUE(process::wait({in, other_in}, 5ms).empty());
    Task sender = start([&out = out] { out.send_bytes("first"); });
    EXPECT_EQ(process::wait({other_in, in}, kPatience), std::vector<std::size_t>{1});
    sender.join();
    other_out.send_bytes("second");
    EXPECT_TRUE(other_in.poll(patiently()));
    EXPECT_EQ(process::wait({other_in, in}), (std::vector<std::size_t>{0, 1}));
    EXPECT_EQ(in.recv_bytes(patiently()), "first");
    EXPECT_EQ(process::wait({other_in, in}), std::vector<std::size_t>{0});
    EXPECT_EQ(error_of([] { (void)process::wait({OwnedFd{}}); }), EBADF);
  });
}

// The open file is shared with whoever has a copy of the descriptor, perhaps a program that knows nothing of
// O_NONBLOCK.
TEST(ConnectionWaits, TakeVectorsOfWhateverCanBeWaitedForAndDurations) {
  std::vector<Connection> ends;
  std::vector<Connection> others;
  for (int i = 0; i < 3; ++i) {
    auto [one, other] = process::pipe();
    ends.push_back(std::move(one));
    others.push_back(std::move(other));
  }
  EXPECT_TRUE(process::wait(ends, 1ms).empty());
  others[1].send_bytes("now");
  EXPECT_EQ(process::wait(ends), std::vector<std::size_t>{1});
  const std::vector<process::Waitable> waitables(ends.begin(), ends.end());
  EXPECT_EQ(process::wait(waitables, 1s), std::vector<std::size_t>{1});
}

TEST_P(ConnectionTest, LeavesTheFlagsOfTheOpenFileAlone) {
  run([] {
    int fds[2];
    ASSERT_EQ(transport() == Transport::SystemPipe
                  ? ::pipe2(fds, O_CLOEXEC)
                  : ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
              0);
    const OwnedFd shared = OwnedFd::duplicate(fds[0]);
    const OwnedFd other{fds[1]};
    Connection in{OwnedFd{fds[0]}};
    EXPECT_THROW((void)in.recv_bytes(soon()), TimeoutError);
    EXPECT_EQ(::fcntl(shared.get(), F_GETFL) & O_NONBLOCK, 0);
  });
}

// ---- values
// ----------------------------------------------------------------------------------------------------------

struct Order {
  int number = 0;
  std::vector<std::string> items;
  std::map<std::string, double> prices;
  bool operator==(const Order&) const = default;
};

TEST_P(ConnectionTest, CarriesValues) {
  run([] {
    auto [out, in] = ends();
    const Order order{7, {"nails", std::string(1000, 'x')}, {{"nails", 2.5}}};
    out.send(order);
    out.send(42);
    out.send("a string"s);
    out.send(std::vector<Order>{});
    EXPECT_EQ(in.recv<Order>(patiently()), order);
    EXPECT_EQ(in.recv<int>(patiently()), 42);
    EXPECT_EQ(in.recv<std::string>(patiently()), "a string");
    EXPECT_TRUE(in.recv<std::vector<Order>>(patiently()).empty());
  });
}

TEST_P(ConnectionTest, SaysThatAValueIsOfAnotherType) {
  run([] {
    auto [out, in] = ends();
    out.send(42);
    EXPECT_NE(
        text_of_protocol_error([&in = in] { (void)in.recv<std::string>(patiently()); }).find("another type"),
        std::string::npos);
    out.send(std::int64_t{42});
    EXPECT_NE(
        text_of_protocol_error([&in = in] { (void)in.recv<std::int32_t>(patiently()); }).find("left over"),
        std::string::npos);
    out.send(1);
    EXPECT_EQ(in.recv<int>(patiently()), 1);
  });
}

TEST_P(ConnectionTest, DescriptorsGoAlongWithTheirValues) {
  run([] {
    auto [out, in] = ends();
    int fds[2];
    ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
    const OwnedFd read_end{fds[0]};
    std::map<std::string, OwnedFd> values;
    values.emplace("write end", OwnedFd{fds[1]});
    if (!carries_descriptors(transport())) {
      EXPECT_THROW(out.send(values), ProtocolError);
      return;
    }
    out.send(1);
    out.send(values);
    out.send(2);
    values.clear();
    EXPECT_EQ(in.recv<int>(patiently()), 1);
    auto got = in.recv<std::map<std::string, OwnedFd>>(patiently());
    EXPECT_EQ(in.recv<int>(patiently()), 2);
    ASSERT_EQ(::write(got.at("write end").get(), "x", 1), 1);
    got.clear();
    char bytes[2];
    EXPECT_EQ(::read(read_end.get(), bytes, 2), 1);
    EXPECT_EQ(::read(read_end.get(), bytes, 2), 0);  // no copy is left behind
  });
}

TEST_P(ConnectionTest, IgnoresDescriptorsInMessagesOfBytes) {
  run([] {
    auto [out, in] = ends();
    if (!carries_descriptors(transport())) return;
    int fds[2];
    ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
    const OwnedFd read_end{fds[0]};
    {
      const OwnedFd write_end{fds[1]};
      out.send(write_end);
    }
    (void)in.recv_bytes(patiently());
    char byte;
    EXPECT_EQ(::read(read_end.get(), &byte, 1), 0);  // it was closed
  });
}

TEST(ConnectionValues, AConnectionIsOneOfThem) {
  auto [here, there] = process::pipe();
  auto [in, out] = process::pipe(false);
  here.send(out);
  here.send(in);
  out.close();
  in.close();
  Connection far_out = there.recv<Connection>(patiently());
  Connection far_in = there.recv<Connection>(patiently());
  EXPECT_FALSE(far_out.readable());
  EXPECT_FALSE(far_in.writable());
  far_out.send_bytes("still connected");
  EXPECT_EQ(far_in.recv_bytes(patiently()), "still connected");
  far_out.close();
  EXPECT_THROW((void)far_in.recv_bytes(patiently()), EndOfStream);
}

TEST(ConnectionValues, AtMost253DescriptorsGoAlong) {
  auto [here, there] = process::pipe();
  std::vector<OwnedFd> many;
  for (int i = 0; i < 253; ++i) many.push_back(OwnedFd::duplicate(here.fileno()));
  here.send(many);
  EXPECT_EQ(there.recv<std::vector<OwnedFd>>(patiently()).size(), 253u);
  many.push_back(OwnedFd::duplicate(here.fileno()));
  EXPECT_NE(text_of_protocol_error([&here = here, &many] { here.send(many); }).find("253"),
            std::string::npos);
}

// ---- whoever feeds it byte by byte ----------------------------------------------------------------------------------

class RawFrames : public ContextTest {
 protected:
  struct Scene {
    Socket raw;
    Connection in;
  };
  static Scene scene() {
    auto [one, other] = Socket::socketpair();
    return {std::move(one), Connection{OwnedFd{other.detach()}}};
  }
};
WEFT_INSTANTIATE_CONTEXTS(RawFrames);

TEST_P(RawFrames, AreThoseOfCPython) {
  run([] {
    auto [raw, in] = scene();
    in.send_bytes("");
    in.send_bytes("hello");
    EXPECT_EQ(raw.recv_exactly(13, patiently()), "\0\0\0\0\0\0\0\5hello"s);
  });
}

TEST_P(RawFrames, OfTheLongFormAreReadAtAnySize) {
  run([] {
    auto [raw, in] = scene();
    raw.send_all("\xff\xff\xff\xff\0\0\0\0\0\0\0\5hello\xff\xff\xff\xff\0\0\0\0\0\0\0\0"s);
    EXPECT_EQ(in.recv_bytes(patiently()), "hello");
    EXPECT_EQ(in.recv_bytes(patiently()), "");
  });
}

TEST_P(RawFrames, ContinueWhereATimeLimitCutThem) {
  run([] {
    for (const std::string& stream :
         {"\0\0\0\5hello\0\0\0\2hi"s, "\xff\xff\xff\xff\0\0\0\0\0\0\0\5hello\0\0\0\2hi"s}) {
      auto [raw, in] = scene();
      std::vector<std::string> got;
      for (const char byte : stream) {
        raw.send_all(std::string_view{&byte, 1});
        try {
          got.push_back(in.recv_bytes(Deadline::already()));
        } catch (const TimeoutError&) {
        }
      }
      EXPECT_EQ(got, (std::vector<std::string>{"hello", "hi"}));
    }
  });
}

TEST_P(RawFrames, IntoMemoryContinueWhereATimeLimitCutThem) {
  run([] {
    auto [raw, in] = scene();
    std::array<std::byte, 5> buffer;
    raw.send_all("\0\0\0\5he"s);
    EXPECT_THROW((void)in.recv_bytes_into(buffer, soon()), TimeoutError);
    raw.send_all("llo");
    EXPECT_EQ(in.recv_bytes_into(buffer, patiently()), 5u);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(buffer.data()), 5), "hello");
  });
}

TEST_P(RawFrames, CutByTheEndOfTheStreamAreAnError) {
  run([] {
    const std::string whole = "\0\0\0\5hello"s;
    const std::string long_form = "\xff\xff\xff\xff\0\0\0\0\0\0\0\5hello"s;
    for (const std::string& stream : {whole, long_form}) {
      for (std::size_t cut = 1; cut < stream.size(); ++cut) {
        auto [raw, in] = scene();
        raw.send_all(std::string_view{stream}.substr(0, cut));
        raw.close();
        EXPECT_NE(
            text_of_protocol_error([&in = in] { (void)in.recv_bytes(patiently()); }).find("inside a message"),
            std::string::npos)
            << cut;
      }
    }
  });
}

TEST_P(RawFrames, OfImpossibleSizesAreRefused) {
  run([] {
    for (const std::string& size : {"\xff\xff\xff\xfe"s, "\x80\0\0\0"s, "\xc0\1\2\3"s}) {
      auto [raw, in] = scene();
      raw.send_all(size + "rest");
      EXPECT_NE(text_of_protocol_error([&in = in] { (void)in.recv_bytes(patiently()); }).find("cannot have"),
                std::string::npos);
      EXPECT_FALSE(in.readable());
    }
    auto [raw, in] = scene();
    raw.send_all("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"s);
    EXPECT_THROW((void)in.recv_bytes(patiently()), ProtocolError);
  });
}

TEST_P(RawFrames, ThatAnnounceMuchAndSendLittleCostLittle) {
  run([] {
    auto [raw, in] = scene();
    raw.send_all("\x7f\xff\xff\xffstarved"s);  // 2 GiB, they say
    raw.shutdown(Socket::How::Write);
    EXPECT_THROW((void)in.recv_bytes(patiently()), ProtocolError);
  });
}

TEST_P(RawFrames, OfTwoGibibytesAndMoreHaveTheLongForm) {
  run([] {
    // Of pages that nobody has written to, so that there is one of them in memory.
    constexpr std::size_t kSize = std::size_t{1} << 31;
    void* const pages = ::mmap(nullptr, kSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(pages, MAP_FAILED);
    {
      auto [raw, out] = scene();
      Task sender = start([&out = out, pages] {
        EXPECT_THROW(out.send_bytes(std::string_view{static_cast<const char*>(pages), kSize}, patiently()), OSError);
      });
      EXPECT_EQ(raw.recv_exactly(12, patiently()), "\xff\xff\xff\xff\0\0\0\0\x80\0\0\0"s);
      raw.close();  // that is all that is wanted of it
      sender.join();
    }
    ::munmap(pages, kSize);
  });
}

TEST_P(RawFrames, ADescriptorGoesAsCPythonSendsOne) {
  run([] {
    auto [one, other] = process::pipe();
    int fds[2];
    ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
    OwnedFd read_end{fds[0]};
    OwnedFd write_end{fds[1]};
    one.send_descriptor(write_end.get());
    one.send_bytes("after it");
    write_end.reset();
    OwnedFd got = other.recv_descriptor(patiently());
    ASSERT_EQ(::write(got.get(), "x", 1), 1);
    got.reset();
    char bytes[2];
    EXPECT_EQ(::read(read_end.get(), bytes, 2), 1);
    EXPECT_EQ(::read(read_end.get(), bytes, 2), 0);  // nobody else has it
    EXPECT_EQ(other.recv_bytes(patiently()), "after it");
    one.send_bytes("no descriptor");
    EXPECT_THROW((void)other.recv_descriptor(patiently()), ProtocolError);
  });
}

TEST_P(RawFrames, ADescriptorNeedsAUnixSocket) {
  run([] {
    auto [out, in] = ends_of(Transport::Tcp);
    EXPECT_THROW(out.send_descriptor(0, patiently()), ProtocolError);
    EXPECT_THROW((void)in.recv_descriptor(patiently()), ProtocolError);
  });
}

TEST(Connection, OfNothingFailsWithItsName) {
  Connection nothing;
  EXPECT_EQ(error_of([&] { nothing.send_bytes("x"); }), EBADF);
  EXPECT_EQ(error_of([&] { (void)nothing.recv_bytes(); }), EBADF);
  EXPECT_TRUE(nothing.closed());
  nothing.close();
}

TEST(Connection, IsNotMadeOfAFile) {
  EXPECT_EQ(error_of([] { Connection{OwnedFd{::open("/dev/null", O_RDONLY | O_CLOEXEC)}}; }), EINVAL);
  EXPECT_EQ(error_of([] { Connection{OwnedFd{}}; }), EBADF);
}

TEST(Connection, ReceivingIsACancellationPointAndLosesNothing) {
  Runtime runtime{{.workers = 1}};
  runtime.run([] {
    auto [raw, other] = Socket::socketpair();
    Connection in{OwnedFd{other.detach()}};
    raw.send_all("\0\0\0\5he"s);
    Fiber<void> victim = spawn([&in] { (void)in.recv_bytes(); });
    while (in.poll()) weft::yield();  // until it has taken what is there
    victim.kill();
    (void)victim.join_for(kPatience);
    raw.send_all("llo");
    EXPECT_EQ(in.recv_bytes(patiently()), "hello");
  });
}

// ---- other processes
// -------------------------------------------------------------------------------------------------

// Runs body() in a forked child, which then exits with what it returns.
template <class F>
pid_t forked(F body) {
  const pid_t child = weft::test::forked();
  if (child != 0) return child;
  int code = 99;
  try {
    code = body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "child: %s\n", error.what());
  }
  ::_exit(code);
}

int status_of(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(ConnectionBetweenProcesses, CarriesMessagesBothWays) {
  auto [here, there] = process::pipe();
  const pid_t child = forked([&here = here, &there = there] {
    here.close();
    for (std::string message; !(message = there.recv_bytes(patiently())).empty();)
      there.send_bytes(message + message, patiently());
    return 7;
  });
  there.close();
  for (const std::size_t size : {1, 64, 100'000}) {
    here.send_bytes(patterned(size), patiently());
    EXPECT_TRUE(here.recv_bytes(patiently()) == patterned(size) + patterned(size)) << size;
  }
  here.send_bytes("");
  EXPECT_EQ(status_of(child), 7);
  EXPECT_THROW((void)here.recv_bytes(patiently()), EndOfStream);
}

TEST(ConnectionBetweenProcesses, CarriesSixtyFourMebibytes) {
  constexpr std::size_t kSize = 64u << 20;
  auto [here, there] = process::pipe();
  const pid_t child = forked([&here = here, &there = there] {
    here.close();
    there.send_bytes(there.recv_bytes(patiently()), patiently());
    return 0;
  });
  there.close();
  const std::string message = patterned(kSize);
  here.send_bytes(message, patiently());
  EXPECT_TRUE(here.recv_bytes(patiently()) == message);
  EXPECT_EQ(status_of(child), 0);
}

TEST(ConnectionBetweenProcesses, AProcessKilledInTheMiddleOfAMessageEndsIt) {
  auto [here, there] = process::pipe();
  const pid_t child = forked([&here = here, &there = there] {
    here.close();
    there.send_bytes(std::string(64u << 20, 'x'));
    return 0;
  });
  there.close();
  ASSERT_TRUE(here.poll(patiently()));  // it has begun, and cannot get any further
  ::kill(child, SIGKILL);
  EXPECT_EQ(status_of(child), -SIGKILL);
  EXPECT_NE(
      text_of_protocol_error([&here = here] { (void)here.recv_bytes(patiently()); }).find("inside a message"),
      std::string::npos);
}

TEST(ConnectionBetweenProcesses, AProcessKilledWithAMessageHalfReadEndsTheSender) {
  auto [here, there] = process::pipe();
  const pid_t child = forked([&here = here, &there = there] {
    here.close();
    (void)there.recv_bytes(patiently());
    ::pause();
    return 0;
  });
  there.close();
  here.send_bytes("taken", patiently());
  int error = 0;
  std::thread sender{[&here = here, &error] {
    error = error_of([&here] { here.send_bytes(std::string(64u << 20, 'x'), patiently()); });
  }};
  // Killed when the sender has filled all that the kernel keeps.
  pollfd polled{here.fileno(), POLLOUT, 0};
  while (::poll(&polled, 1, 0) > 0) std::this_thread::yield();
  ::kill(child, SIGKILL);
  sender.join();
  EXPECT_TRUE(error == EPIPE || error == ECONNRESET) << error;
  EXPECT_EQ(status_of(child), -SIGKILL);
  EXPECT_THROW((void)here.recv_bytes(patiently()), EndOfStream);
}

// The child's copy must neither wait for a thread that exists in the parent only, nor go on with that one's message.
TEST(ConnectionBetweenProcesses, WorksInAChildThatWasForkedWhileAThreadWasReceiving) {
  auto [raw, other] = Socket::socketpair();
  Connection in{OwnedFd{other.detach()}};
  auto [go, say_go] = process::pipe(false);
  std::string got;
  std::thread receiver{[&in, &got] { got = in.recv_bytes(patiently()); }};
  raw.send_all("\0\0\0\5he"s);
  while (in.poll()) std::this_thread::yield();  // now it is in the middle of the message
  const pid_t child = forked([&in, &go = go] {
    (void)go.recv_bytes(patiently());
    return in.recv_bytes(patiently()) == "second" ? 0 : 1;
  });
  raw.send_all("llo");
  receiver.join();
  EXPECT_EQ(got, "hello");
  raw.send_all("\0\0\0\6second"s);
  say_go.send_bytes("go");
  EXPECT_EQ(status_of(child), 0);
}

TEST(ConnectionBetweenProcesses, AChildDoesNotTakeTheRestOfAMessageOfItsParentsForAnother) {
  auto [raw, other] = Socket::socketpair();
  Connection in{OwnedFd{other.detach()}};
  raw.send_all("\0\0\0\x0a"s);
  EXPECT_THROW((void)in.recv_bytes(soon()), TimeoutError);
  raw.send_all("\0\0\0\2hi1234"s);
  const pid_t child = forked([&in] {
    try {
      (void)in.recv_bytes(patiently());
    } catch (const InvalidStateError&) {
      return 0;
    }
    return 1;
  });
  EXPECT_EQ(status_of(child), 0);
  EXPECT_EQ(in.recv_bytes(patiently()), "\0\0\0\2hi1234"s);
}

TEST(ConnectionBetweenProcesses, TwoCanShareAnEndIfTheyTakeTurns) {
  auto [here, there] = process::pipe();
  // Nothing is read ahead: each takes its message only.
  for (int i = 0; i < 20; ++i) here.send_bytes("message " + std::to_string(i));
  for (int i = 0; i < 20; ++i) {
    if (i % 2 == 0) {
      EXPECT_EQ(there.recv_bytes(patiently()), "message " + std::to_string(i));
      continue;
    }
    const pid_t child = forked([&there = there, i] {
      return there.recv_bytes(patiently()) == "message " + std::to_string(i) ? 0 : 1;
    });
    EXPECT_EQ(status_of(child), 0) << i;
  }
}

TEST(ConnectionBetweenProcesses, TheEndOfAProcessCanBeWaitedForBesideMessages) {
  auto [here, there] = process::pipe();
  const pid_t child = forked([&there = there] { return there.recv_bytes(patiently()) == "end" ? 3 : 4; });
  const OwnedFd sentinel{static_cast<int>(::syscall(SYS_pidfd_open, child, 0))};
  EXPECT_TRUE(process::wait({here, sentinel}, 5ms).empty());
  here.send_bytes("end");
  EXPECT_EQ(process::wait({here, sentinel}, kPatience), std::vector<std::size_t>{1});
  EXPECT_EQ(status_of(child), 3);
}

}  // namespace
}  // namespace weft::test
