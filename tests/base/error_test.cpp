#include <weft/base/error.hpp>

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace weft {
namespace {

template <class Base, class... Derived>
constexpr bool all_derive_from = (std::is_base_of_v<Base, Derived> && ...);

template <class... One>
struct Unrelated {
  template <class Other>
  static constexpr bool to = !(std::is_base_of_v<One, Other> || ...);
};

// A handler for one kind of failure must not catch another kind.
TEST(Errors, StandWhereTheirHandlersExpectThem) {
  static_assert(std::is_base_of_v<std::runtime_error, Error>);
  static_assert(all_derive_from<Error, TimeoutError, CancelledError, ShutDown, InvalidStateError, ProtocolError>);
  static_assert(Unrelated<CancelledError, ShutDown, InvalidStateError, ProtocolError>::to<TimeoutError>);
  static_assert(Unrelated<TimeoutError, ShutDown, InvalidStateError, ProtocolError>::to<CancelledError>);
  static_assert(Unrelated<TimeoutError, CancelledError, InvalidStateError, ProtocolError>::to<ShutDown>);
  static_assert(Unrelated<TimeoutError, CancelledError, ShutDown, ProtocolError>::to<InvalidStateError>);
  static_assert(Unrelated<TimeoutError, CancelledError, ShutDown, InvalidStateError>::to<ProtocolError>);
  static_assert(std::is_base_of_v<std::system_error, OSError>);
  static_assert(std::is_base_of_v<OSError, WouldBlock>);
  static_assert(Unrelated<Error>::to<OSError>);
  static_assert(Unrelated<std::exception>::to<Cancelled>);
}

TEST(Errors, KeepTheirText) {
  EXPECT_STREQ(Error{"one"}.what(), "one");
  EXPECT_STREQ(TimeoutError{"two"}.what(), "two");
  EXPECT_STREQ(InvalidStateError{std::string{"three"}}.what(), "three");
}

TEST(Errors, AHandlerForFailuresLetsACancellationPass) {
  const auto swallow_failures = [](auto error) {
    try {
      throw error;
    } catch (const std::exception&) {
    }
  };
  EXPECT_NO_THROW(swallow_failures(CancelledError{"the result of work that was cancelled is a failure"}));
  EXPECT_THROW(swallow_failures(Cancelled{}), Cancelled);
}

TEST(OSError, SaysWhatWasTriedOnWhatAndWhyItFailed) {
  const OSError error{ECONNREFUSED, "connect to", "127.0.0.1:9"};
  EXPECT_STREQ(error.what(), "connect to 127.0.0.1:9: Connection refused");
  EXPECT_EQ(error.operation(), "connect to");
  EXPECT_EQ(error.object(), "127.0.0.1:9");
}

TEST(OSError, WithoutAnObjectSaysWhatWasTriedAndWhyItFailed) {
  const OSError error{EMFILE, "epoll_create"};
  EXPECT_EQ(std::string{error.what()}, std::string{"epoll_create: "} + std::strerror(EMFILE));
  EXPECT_EQ(error.object(), "");
}

TEST(OSError, CarriesItsErrnoAsACode) {
  const OSError error{ENOENT, "open", "/nowhere"};
  EXPECT_EQ(error.errno_value(), ENOENT);
  EXPECT_EQ(error.code(), std::make_error_code(std::errc::no_such_file_or_directory));
  EXPECT_EQ(error.code().category(), std::generic_category());
  EXPECT_TRUE(error.code() == std::errc::no_such_file_or_directory);
}

TEST(OSError, IsCaughtAsASystemErrorWithItsOwnText) {
  try {
    throw WouldBlock{EAGAIN, "recv from", "peer"};
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::resource_unavailable_try_again);
    EXPECT_EQ(std::string{error.what()}, std::string{"recv from peer: "} + std::strerror(EAGAIN));
  }
}

// what() points into the object: a copy must not point into the original.
TEST(OSError, CopiesOutliveTheOriginal) {
  const auto copy_of_dead = [] {
    const OSError original{EPIPE, "send to", "a peer with a name too long to be kept within the string object"};
    OSError copy = original;
    return copy;
  };
  const OSError copy = copy_of_dead();
  EXPECT_EQ(std::string{copy.what()},
            "send to a peer with a name too long to be kept within the string object: Broken pipe");
  OSError assigned{EIO, "read"};
  assigned = copy;
  EXPECT_STREQ(assigned.what(), copy.what());
  EXPECT_EQ(assigned.errno_value(), EPIPE);
}

TEST(OSError, DescribesNumbersTheSystemDoesNotKnow) {
  const OSError error{123456, "ioctl", "device"};
  EXPECT_EQ(error.errno_value(), 123456);
  EXPECT_TRUE(std::string{error.what()}.starts_with("ioctl device: ")) << error.what();
}

}  // namespace
}  // namespace weft
