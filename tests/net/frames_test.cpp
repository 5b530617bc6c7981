#include <weft/net/frames.hpp>

#include <malloc.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <random>

#include "net/contexts.hpp"
#include "net/scenes.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

Deadline soon() { return Deadline::after(20ms); }
Deadline patiently() { return Deadline::after(test::kPatience); }

class FramesTest : public test::ContextTest {};
WEFT_INSTANTIATE_CONTEXTS(FramesTest);

TEST_P(FramesTest, CarryMessagesWhole) {
  run([] {
    auto [a, b] = test::tcp_pair();
    FrameStream out{a};
    FrameStream in{b};
    for (const std::string& message : {"hello"s, ""s, std::string(300, 'x'), "\0binary\xff"s}) {
      out.send(message);
      EXPECT_EQ(in.recv(patiently()), message);
    }
    a.shutdown(Socket::How::Write);
    EXPECT_EQ(in.recv(patiently()), std::nullopt);
    EXPECT_EQ(in.recv(patiently()), std::nullopt);
  });
}

TEST_P(FramesTest, AreFourLittleEndianBytesAndTheMessage) {
  run([] {
    auto [a, b] = Socket::socketpair();
    FrameStream{a}.send("close");
    EXPECT_EQ(b.recv_exactly(9, patiently()), "\5\0\0\0close"s);
    FrameStream{a, {.width = 2, .byte_order = ByteOrder::Big}}.send("close");
    EXPECT_EQ(b.recv_exactly(7, patiently()), "\0\5close"s);
  });
}

TEST_P(FramesTest, EveryFormatIsReadBack) {
  run([] {
    for (const unsigned width : {1u, 2u, 4u, 8u}) {
      for (const ByteOrder order : {ByteOrder::Little, ByteOrder::Big}) {
        for (const bool is_signed : {true, false}) {
          auto [a, b] = Socket::socketpair();
          const FrameOptions options{.width = width, .byte_order = order, .is_signed = is_signed};
          FrameStream out{a, options};
          FrameStream in{b, options};
          for (const std::size_t size : {0, 1, 100, 127}) {
            out.send(std::string(size, 'm'));
            EXPECT_EQ(in.recv(patiently()), std::string(size, 'm'));
          }
        }
      }
    }
  });
}

TEST_P(FramesTest, ArriveWholeWhereverTheStreamWasCut) {
  run([] {
    const std::vector<std::string> messages{"first", "", "the second one", "3"};
    std::string stream;
    for (const std::string& message : messages) stream += pack(message.size()) + message;
    for (std::size_t first = 0; first <= stream.size(); ++first) {
      for (std::size_t second = first; second <= stream.size(); second += 3) {
        auto [a, b] = Socket::socketpair();
        FrameStream in{b, {.buffer_bytes = 16}};
        std::vector<std::string> got;
        // Every call may time out in the middle of anything, and is then repeated.
        const auto receive = [&] {
          try {
            while (auto message = in.recv(Deadline::already())) got.push_back(*message);
          } catch (const TimeoutError&) {
          }
        };
        a.send_all(stream.substr(0, first));
        receive();
        a.send_all(stream.substr(first, second - first));
        receive();
        a.send_all(stream.substr(second));
        a.close();
        receive();
        ASSERT_EQ(got, messages) << first << ' ' << second;
      }
    }
  });
}

TEST_P(FramesTest, LargeMessagesArriveWholeAndTakeTheirNeighboursAlong) {
  run([] {
    auto [a, b] = test::tcp_pair();
    FrameStream out{a};
    FrameStream in{b};
    std::mt19937 random{1};
    std::vector<std::string> messages;
    for (const std::size_t size : {4092, 4096, 65535, 65536, 65537, 262144, 1 << 20, 5, 9 << 20, 1}) {
      std::string message(size, '\0');
      std::generate(message.begin(), message.end(), [&] { return static_cast<char>(random()); });
      messages.push_back(std::move(message));
    }
    test::Task writer = start([&] {
      for (const std::string& message : messages) out.send(message, patiently());
    });
    for (const std::string& message : messages) EXPECT_TRUE(in.recv(patiently()) == message) << message.size();
    writer.join();
  });
}

TEST_P(FramesTest, ACutFrameIsAnErrorThatSaysHowMuchCame) {
  run([] {
    for (const auto& [sent, text, received] :
         {std::tuple{"\5"s, "end of stream after 1 of 4 bytes", 1u}, std::tuple{"\5\0\0\0"s, "end of stream after 0 of 5 bytes", 0u},
          std::tuple{"\5\0\0\0abc"s, "end of stream after 3 of 5 bytes", 3u}}) {
      auto [a, b] = test::tcp_pair();
      a.send_all(sent);
      a.shutdown(Socket::How::Write);
      FrameStream in{b};
      try {
        (void)in.recv(patiently());
        ADD_FAILURE();
      } catch (const EndOfStream& error) {
        EXPECT_EQ(error.what(), "frame from " + a.local_address().to_string() + ": " + text);
        EXPECT_EQ(error.received(), received);
      }
    }
  });
}

TEST_P(FramesTest, BadLengthsAreRefusedBeforeAnythingIsAllocated) {
  run([] {
    const auto error_for = [](const std::string& bytes, const FrameOptions& options) -> std::string {
      auto [a, b] = Socket::socketpair();
      a.send_all(bytes);
      try {
        (void)FrameStream{b, options}.recv(patiently());
      } catch (const ProtocolError& error) {
        const std::string text = error.what();
        return text.substr(text.find(": ") + 2);
      }
      return "no error";
    };
    EXPECT_EQ(error_for("\xff\xff\xff\xff"s, {}), "length -1 is negative");
    EXPECT_EQ(error_for("\xff\xff\xff\x7f"s, {}), "length 2147483647 is over the limit of 67108864 bytes");
    EXPECT_EQ(error_for("\xff\xff\xff\xff"s, {.is_signed = false}), "length 4294967295 is over the limit of 67108864 bytes");
    EXPECT_EQ(error_for(std::string(8, '\xff'), {.width = 8, .is_signed = false}),
              "length 18446744073709551615 is over the limit of 67108864 bytes");
    EXPECT_EQ(error_for("\x80"s, {.width = 1}), "length -128 is negative");
    EXPECT_EQ(error_for("\xb\0\0\0"s, {.max_size_bytes = 10}), "length 11 is over the limit of 10 bytes");
  });
}

TEST_P(FramesTest, MemoryGrowsWithWhatCameNotWithWhatWasAnnounced) {
  run([] {
    auto [a, b] = Socket::socketpair();
    FrameStream in{b};
    a.send_all(pack(64 << 20) + "and no more");
    const struct mallinfo2 before = mallinfo2();
    EXPECT_THROW((void)in.recv(soon()), TimeoutError);
    const struct mallinfo2 after = mallinfo2();
    EXPECT_LT(after.uordblks + after.hblkhd, before.uordblks + before.hblkhd + (1u << 20));
  });
}

TEST_P(FramesTest, MessagesThatAreTooLongAreNotSentAtAll) {
  run([] {
    auto [a, b] = Socket::socketpair();
    EXPECT_THROW((FrameStream{a, {.max_size_bytes = 10}}.send("eleven byte")), ProtocolError);
    EXPECT_THROW((FrameStream{a, {.width = 1}}.send(std::string(128, 'x'))), ProtocolError);
    FrameStream{a, {.width = 1, .is_signed = false}}.send(std::string(255, 'x'));
    EXPECT_EQ(b.recv(1000, patiently()).size(), 256u);
    EXPECT_THROW((FrameStream{a, {.width = 3}}), PackError);
  });
}

TEST_P(FramesTest, ARawBodyMayFollowAFrame) {
  run([] {
    auto [a, b] = test::tcp_pair();
    FrameStream out{a};
    FrameStream in{b};
    std::string body(300'000, '\0');
    for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 7);
    test::Task writer = start([&] {
      out.send("a file follows", patiently());
      a.send_all(pack(body.size()) + body, patiently());
      out.send("and another message", patiently());
    });
    EXPECT_EQ(in.recv(patiently()), "a file follows");
    const auto size = in.recv_length(1 << 30, patiently());
    ASSERT_EQ(size, body.size());
    std::string got(body.size(), '\0');
    const auto into = std::as_writable_bytes(std::span{got});
    std::size_t taken = 0;
    while (taken < 100'000) taken += in.recv_raw_into(into.subspan(taken, std::min<std::size_t>(1000, got.size() - taken)), patiently());
    in.recv_raw_exactly(into.subspan(taken), patiently());
    EXPECT_TRUE(got == body);
    EXPECT_EQ(in.recv(patiently()), "and another message");
    writer.join();
    EXPECT_EQ(in.buffered(), 0u);
    a.close();
    EXPECT_EQ(in.recv_length(patiently()), std::nullopt);
    EXPECT_EQ(in.recv_raw_into(into, patiently()), 0u);
  });
}

TEST_P(FramesTest, AnInterruptedMessageCannotBeMistakenForRawBytes) {
  run([] {
    auto [a, b] = Socket::socketpair();
    FrameStream in{b};
    a.send_all("\5\0\0\0ab"s);
    EXPECT_THROW((void)in.recv(soon()), TimeoutError);
    std::byte buffer[10];
    EXPECT_THROW((void)in.recv_raw_into(buffer, patiently()), InvalidStateError);
    EXPECT_THROW((void)in.recv_length(patiently()), InvalidStateError);
    a.send_all("cde"s);
    EXPECT_EQ(in.recv(patiently()), "abcde");
    EXPECT_EQ(a.try_send("x"), 1u);
    EXPECT_EQ(in.recv_raw_into(buffer, patiently()), 1u);
  });
}

TEST_P(FramesTest, TheTimeoutOfTheSocketBoundsTheWholeReceive) {
  run([] {
    auto [a, b] = Socket::socketpair();
    b.set_timeout(100ms);
    FrameStream in{b};
    a.send_all(pack(1000));
    test::Task dripping = start([&] {
      for (int i = 0; i < 100; ++i) {
        a.send_all("."s);
        sleep_for(10ms);
      }
    });
    const auto began = Clock::now();
    EXPECT_THROW((void)in.recv(), TimeoutError);
    EXPECT_LT(Clock::now() - began, 800ms);
    b.set_timeout(std::nullopt);
    dripping.join();
  });
}

// What a FrameStream should say about a stream that is wholly there.
std::vector<std::string> naive_model(std::string_view stream, const FrameOptions& options) {
  std::vector<std::string> events;
  while (!stream.empty()) {
    if (stream.size() < options.width) {
      events.push_back("cut");
      return events;
    }
    std::uint64_t length = 0;
    for (unsigned i = 0; i < options.width; ++i) {
      const unsigned place = options.byte_order == ByteOrder::Big ? i : options.width - 1 - i;
      length = length << 8 | static_cast<unsigned char>(stream[place]);
    }
    const bool negative = options.is_signed && (length >> (8 * options.width - 1) & 1) != 0;
    stream.remove_prefix(options.width);
    if (negative || length > options.max_size_bytes) {
      events.push_back("bad");
      return events;
    }
    if (stream.size() < length) {
      events.push_back("cut");
      return events;
    }
    events.push_back("message " + std::string{stream.substr(0, length)});
    stream.remove_prefix(length);
  }
  events.push_back("end");
  return events;
}

std::string random_stream(std::mt19937& random, const FrameOptions& options) {
  std::string stream;
  const int frames = static_cast<int>(random() % 6);
  for (int i = 0; i < frames; ++i) {
    const std::size_t size = random() % 5 == 0 ? random() % 3000 : random() % 30;
    const bool lies = random() % 12 == 0;
    try {
      stream += pack(lies ? std::int64_t{random() % 2 == 0 ? 5000 : -3} : static_cast<std::int64_t>(size), options.format());
    } catch (const PackError&) {
      continue;
    }
    for (std::size_t k = 0; k < size; ++k) stream += static_cast<char>(random());
  }
  if (random() % 4 == 0) stream.resize(stream.size() - std::min<std::size_t>(stream.size(), random() % 10));
  return stream;
}

TEST_P(FramesTest, AgreeWithANaiveModelHoweverTheBytesArrive) {
  run([] {
    std::mt19937 random{20240229};
    for (int round = 0; round < 1500; ++round) {
      const unsigned widths[] = {1, 2, 4, 8};
      const FrameOptions options{.width = widths[random() % 4],
                                 .byte_order = random() % 2 ? ByteOrder::Big : ByteOrder::Little,
                                 .is_signed = random() % 2 == 0,
                                 .max_size_bytes = 4000,
                                 .buffer_bytes = random() % 2 ? 4096u : 8u + random() % 64};
      const std::string stream = random_stream(random, options);
      auto [a, b] = Socket::socketpair();
      FrameStream in{b, options};
      std::vector<std::string> events;
      std::size_t sent = 0;
      while (events.empty() || events.back().starts_with("message")) {
        try {
          const auto message = in.recv(Deadline::already());
          events.push_back(message ? "message " + *message : "end");
        } catch (const TimeoutError&) {
          if (sent == stream.size()) {
            a.close();
          } else {
            const std::size_t piece = std::min<std::size_t>(stream.size() - sent, random() % (random() % 4 ? 10 : 2000));
            a.send_all(stream.substr(sent, piece));
            sent += piece;
          }
        } catch (const EndOfStream&) {
          events.push_back("cut");
        } catch (const ProtocolError&) {
          events.push_back("bad");
        }
      }
      ASSERT_EQ(events, naive_model(stream, options)) << "round " << round;
    }
  });
}

}  // namespace
}  // namespace weft
