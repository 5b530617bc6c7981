#include <weft/process/process_pool_executor.hpp>
#include <weft/process/sendable.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>

#include <bitset>
#include <chrono>
#include <complex>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <forward_list>
#include <functional>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include <weft/base/error.hpp>
#include <weft/net/socket.hpp>
#include <weft/sync/lock.hpp>

namespace weft::test {
namespace {

using namespace std::chrono_literals;
using process::Incoming;
using process::Outgoing;

template <class T>
T sent(const T& value) {
  Outgoing out;
  out(value);
  Incoming in{out.bytes(), out.take_descriptors()};
  T received = in.receive<T>();
  EXPECT_EQ(in.remaining(), 0U);
  return received;
}

template <class T>
void expect_arrives(const T& value) {
  EXPECT_EQ(sent(value), value);
}

enum class Colour : std::uint8_t { Red = 3, Green = 200 };

struct Point {
  int x = 0;
  double y = 0;
  bool operator==(const Point&) const = default;
};

struct Packed {  // no padding: goes as it stands
  std::int32_t a;
  std::int32_t b;
  bool operator==(const Packed&) const = default;
};

struct Job {
  std::string name;
  std::vector<Point> points;
  std::optional<std::map<std::string, std::vector<int>>> table;
  const int number;
  std::array<Packed, 2> packed;
  Colour colour;
  bool operator==(const Job&) const = default;
};

/// Cannot be made of nothing, and says nothing of itself.
class Odd {
 public:
  explicit Odd(int value) : value_{value} {}
  [[nodiscard]] int value() const { return value_; }
  bool operator==(const Odd&) const = default;

 private:
  int value_;
};

}  // namespace
}  // namespace weft::test

template <>
struct weft::process::Transfer<weft::test::Odd> {
  static void send(Outgoing& out, const weft::test::Odd& odd) { out(odd.value()); }
  static weft::test::Odd receive(Incoming& in) { return weft::test::Odd{in.receive<int>()}; }
};

namespace weft::test {
namespace {

struct HoldsOdd {
  Odd odd;
  bool operator==(const HoldsOdd&) const = default;
};

class Serialized {
 public:
  Serialized() = default;
  explicit Serialized(std::string text) : text_{std::move(text)} {}
  template <class Archive>
  void serialize(Archive& archive) {
    archive(text_, count_);
  }
  bool operator==(const Serialized&) const = default;

 private:
  std::string text_;
  int count_ = 7;
};

class Saved {
 public:
  template <class Archive>
  void save(Archive& archive) const {
    archive(value_ + 1);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(value_);
    value_ -= 1;
    loaded_ = true;
  }
  int value_ = 0;
  bool loaded_ = false;
};

struct Beside {
  Beside() = default;
  explicit Beside(int v) : value{v} {}
  int value = 0;
};
template <class Archive>
void serialize(Archive& archive, Beside& beside) {
  archive & beside.value;
}

// A type of the user's with its own serialize goes by it though its fields could be sent.
struct Picky {
  int kept = 1;
  int left_out = 2;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(kept);
  }
};

struct Based : Point {
  int z = 0;
};
struct WithArray {
  int before;
  char text[8];
};
struct WithPointer {
  int fine;
  std::vector<int*> not_fine;
};
struct NoDefault {
  explicit NoDefault(int) {}
  template <class Archive>
  void serialize(Archive&) {}
};
struct Virtual {
  virtual ~Virtual() = default;
};
struct NextTo {
  Job job;
  std::string text;
};

int twice(int value) { return 2 * value; }
struct AddOne {
  int operator()(int value) const { return value + 1; }
};

static_assert(Sendable<int> && Sendable<Job> && Sendable<HoldsOdd> && Sendable<Serialized> && Sendable<Saved> && Sendable<Beside>);
static_assert(Sendable<int (*)(int)> && Sendable<AddOne> && Sendable<std::less<>> && Sendable<decltype([](int) {})>);
static_assert(Sendable<std::vector<std::variant<std::monostate, std::string, HoldsOdd>>> && Sendable<OwnedFd> && Sendable<NextTo>);
static_assert(Sendable<const std::string&>);
static_assert(!Sendable<int*> && !Sendable<const char*> && !Sendable<std::string_view> && !Sendable<std::span<int>>);
static_assert(!Sendable<std::unique_ptr<int>> && !Sendable<std::shared_ptr<int>> && !Sendable<std::function<void()>>);
static_assert(!Sendable<std::thread> && !Sendable<std::mutex> && !Sendable<Lock> && !Sendable<WithPointer> && !Sendable<Based>);
static_assert(!Sendable<WithArray> && !Sendable<Virtual> && !Sendable<NoDefault> && !Sendable<int Point::*> && !Sendable<std::vector<int*>>);
static_assert(!Sendable<std::tuple<int, std::string_view>> && !Sendable<std::optional<int*>> && !Sendable<std::map<int, int*>>);
static_assert(!Sendable<std::reference_wrapper<int>> && !Sendable<int[3]> && !Sendable<void>);

TEST(Sendable, NumbersAndEnumerationsArrive) {
  expect_arrives(true);
  expect_arrives(false);
  expect_arrives('x');
  expect_arrives(std::numeric_limits<std::int64_t>::min());
  expect_arrives(std::numeric_limits<std::uint64_t>::max());
  expect_arrives(1.5F);
  expect_arrives(std::numeric_limits<double>::infinity());
  expect_arrives(1.25L);
  expect_arrives(Colour::Green);
  expect_arrives(std::byte{200});
}

TEST(Sendable, StandardTypesArrive) {
  expect_arrives(std::string{});
  expect_arrives(std::string(100'000, 'x'));
  expect_arrives(std::u16string{u"h\u00e9"});
  expect_arrives(std::vector<int>{1, 2, 3});
  expect_arrives(std::vector<bool>{true, false, true});
  expect_arrives(std::vector<std::string>{"a", "", "c"});
  expect_arrives(std::deque<int>{1, 2});
  expect_arrives(std::list<std::string>{"a", "b"});
  expect_arrives(std::forward_list<int>{1, 2, 3});
  expect_arrives(std::map<std::string, int>{{"a", 1}, {"b", 2}});
  expect_arrives(std::multimap<int, int>{{1, 1}, {1, 2}});
  expect_arrives(std::set<std::string>{"x", "y"});
  expect_arrives(std::unordered_map<int, std::string>{{1, "a"}, {2, "b"}});
  expect_arrives(std::unordered_set<int>{4, 5});
  expect_arrives(std::pair<int, std::string>{1, "a"});
  expect_arrives(std::tuple<int, std::vector<int>, std::string>{1, {2}, "c"});
  expect_arrives(std::tuple<>{});
  expect_arrives(std::array<std::string, 2>{"a", "b"});
  expect_arrives(std::array<int, 3>{1, 2, 3});
  expect_arrives(std::optional<std::string>{});
  expect_arrives(std::optional<std::string>{"here"});
  expect_arrives(std::variant<std::monostate, int, std::string>{"text"});
  expect_arrives(std::variant<std::monostate, int, std::string>{});
  expect_arrives(15ms);
  expect_arrives(std::chrono::system_clock::now());
  expect_arrives(std::complex<double>{1, -2});
  expect_arrives(std::bitset<70>{0x5a5a'0000'1111});
  expect_arrives(std::filesystem::path{"/a/b c"});
}

TEST(Sendable, LargeArraysOfNumbersNeedNoLargeCode) {
  auto large = std::make_unique<std::array<int, 100'000>>();
  (*large)[99'999] = 7;
  Outgoing out;
  out(*large);
  EXPECT_EQ(out.bytes().size(), sizeof *large);
}

TEST(Sendable, AggregatesGoByTheirFields) {
  expect_arrives(Point{1, 2.5});
  expect_arrives(std::vector<Packed>{{1, 2}, {3, 4}});
  expect_arrives(Job{"n", {{1, 2}, {3, 4}}, {{{"k", {1, 2}}}}, 9, {{{1, 2}, {3, 4}}}, Colour::Red});
  expect_arrives(HoldsOdd{Odd{4}});
}

TEST(Sendable, FieldsWithoutPaddingGoAtOnce) {
  Outgoing packed;
  packed(std::vector<Packed>(10));
  EXPECT_EQ(packed.bytes().size(), 8 + 10 * sizeof(Packed));
  Outgoing padded;  // not the four bytes between its fields, which hold anything
  padded(std::vector<Point>(10));
  EXPECT_EQ(padded.bytes().size(), 8 + 10 * (sizeof(int) + sizeof(double)));
}

TEST(Sendable, ATypesOwnFunctionsComeFirst) {
  expect_arrives(Serialized{"text"});
  Saved saved;
  saved.value_ = 41;
  const Saved loaded = sent(saved);
  EXPECT_EQ(loaded.value_, 41);
  EXPECT_TRUE(loaded.loaded_);
  EXPECT_EQ(sent(Beside{5}).value, 5);
  const Picky picky = sent(Picky{10, 20});
  EXPECT_EQ(picky.kept, 10);
  EXPECT_EQ(picky.left_out, 2);
}

struct AsBoostCallsIt {
  int value = 0;
  int left_out = 3;
  template <class Archive>
  void serialize(Archive& archive, const unsigned) {
    archive(value);
  }
};
struct BesideAsBoostCallsIt {
  int value = 0;
  int left_out = 3;
};
template <class Archive>
void serialize(Archive& archive, BesideAsBoostCallsIt& it, unsigned) {
  archive(it.value);
}
/// Its load() reads less than its save() writes.
struct Mismatched {
  int value = 0;
  void save(process::Outgoing& out) const { out(value, std::string{"and more"}); }
  void load(process::Incoming& in) { in(value); }
};

TEST(Sendable, SerializeMayHaveBoostsVersionBehind) {
  const auto one = sent(AsBoostCallsIt{5, 6});
  EXPECT_EQ(one.value, 5);
  EXPECT_EQ(one.left_out, 3);
  const auto other = sent(BesideAsBoostCallsIt{5, 6});
  EXPECT_EQ(other.value, 5);
  EXPECT_EQ(other.left_out, 3);
}

TEST(Sendable, WhatIsNotReadIsAnErrorAndNotTheNextArgument) {
  ProcessPoolExecutor pool{1};
  EXPECT_THROW((void)pool.submit([](const Mismatched& it, int n) { return it.value + n; }, Mismatched{1}, 2).get(), ProtocolError);
  EXPECT_THROW((void)pool.submit([](int n) { return Mismatched{n}; }, 1).get(), ProtocolError);
  EXPECT_EQ(pool.submit([](int& n) { return ++n; }, 1).get(), 2) << "its copy may be changed";
}

TEST(Sendable, TransferNeedsNoDefaultConstructor) { expect_arrives(std::vector<Odd>{Odd{1}, Odd{2}}); }

TEST(Sendable, FunctionsArriveAsThemselves) {
  EXPECT_EQ(sent(&twice), &twice);
  EXPECT_EQ(sent(&::stat), &::stat);  // of another module
  const auto lambda = [](int value) { return value - 1; };
  EXPECT_EQ(sent(lambda)(3), 2);
  EXPECT_EQ(sent(AddOne{})(3), 4);
  int (*nothing)(int) = nullptr;
  EXPECT_EQ(sent(nothing), nullptr);
}

TEST(Sendable, AFunctionOfAnotherBuildIsRefused) {
  Outgoing out;
  out(&twice);
  std::vector<std::byte> bytes{out.bytes().begin(), out.bytes().end()};
  bytes[0] ^= std::byte{1};
  Incoming of_another_build{bytes};
  EXPECT_THROW((void)of_another_build.receive<int (*)(int)>(), ProtocolError);
  bytes[0] ^= std::byte{1};
  bytes[14] = std::byte{0x7f};
  Incoming out_of_it{bytes};
  EXPECT_THROW((void)out_of_it.receive<int (*)(int)>(), ProtocolError);
}

TEST(Sendable, DescriptorsGoBesideTheBytes) {
  OwnedFd file{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  struct stat before {};
  ::fstat(file.get(), &before);
  const int number = file.get();
  Outgoing out;
  out(file, 5);
  file.reset();
  Incoming in{out.bytes(), out.take_descriptors()};
  const auto received = in.receive<OwnedFd>();
  EXPECT_EQ(in.receive<int>(), 5);
  struct stat after {};
  ASSERT_EQ(::fstat(received.get(), &after), 0) << number;
  EXPECT_EQ(after.st_rdev, before.st_rdev);
  EXPECT_TRUE(::fcntl(received.get(), F_GETFD) & FD_CLOEXEC);
  Incoming without{out.bytes()};
  EXPECT_THROW((void)without.receive<OwnedFd>(), ProtocolError);
}

TEST(Sendable, AnEmptyDescriptorArrivesEmpty) { EXPECT_FALSE(sent(OwnedFd{})); }

TEST(Sendable, SocketsGoAlong) {
  auto [here, there] = Socket::socketpair();
  Socket received = sent(there);
  there.close();
  received.send_all("hello");
  EXPECT_EQ(here.recv(100), "hello");
}

TEST(Sendable, SmallValuesStayInTheRoomGiven) {
  std::array<std::byte, 64> room{};
  Outgoing out{room};
  out(1, 2L, std::string{"abc"});
  EXPECT_TRUE(out.in_room());
  EXPECT_EQ(out.bytes().data(), room.data());
  out(std::string(100, 'x'));
  EXPECT_FALSE(out.in_room());
  Incoming in{out.bytes()};
  EXPECT_EQ(in.receive<int>(), 1);
  EXPECT_EQ(in.receive<long>(), 2);
  EXPECT_EQ(in.receive<std::string>(), "abc");
  EXPECT_EQ(in.receive<std::string>(), std::string(100, 'x'));
}

template <class T>
void expect_refused(std::vector<unsigned char> bytes) {
  Incoming in{std::as_bytes(std::span{bytes})};
  EXPECT_THROW((void)in.receive<T>(), ProtocolError);
}

TEST(Sendable, BytesAreNotTrusted) {
  expect_refused<int>({1, 2, 3});
  expect_refused<std::string>({255, 255, 255, 255, 255, 255, 255, 255, 'a'});
  expect_refused<std::vector<long>>({255, 255, 255, 255, 255, 255, 255, 31, 0, 0, 0, 0, 0, 0, 0, 0});
  expect_refused<std::vector<std::string>>({2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  expect_refused<std::variant<int, std::string>>({2, 0, 0, 0, 0, 0, 0, 0});
  expect_refused<std::bitset<3>>({4, 0, 0, 0, 0, 0, 0, 0, '0', '1', '0', '1'});
  expect_refused<std::bitset<3>>({3, 0, 0, 0, 0, 0, 0, 0, '0', '2', '0'});
  expect_refused<std::map<int, int>>({1, 0, 0, 0, 0, 0, 0, 0, 1});
}

TEST(Sendable, AnyByteIsABool) {
  const std::vector<unsigned char> bytes{77};
  Incoming in{std::as_bytes(std::span{bytes})};
  EXPECT_TRUE(in.receive<bool>());
}

TEST(Sendable, EveryCutIsRefusedOrComplete) {
  Outgoing out;
  const std::tuple<std::string, std::vector<std::string>, std::map<int, double>> value{"abc", {"d", "ef"}, {{1, 2.0}, {3, 4.0}}};
  out(value);
  for (std::size_t size = 0; size < out.bytes().size(); ++size) {
    Incoming in{out.bytes().first(size)};
    EXPECT_THROW((void)in.receive<std::remove_const_t<decltype(value)>>(), ProtocolError) << size;
  }
}

}  // namespace
}  // namespace weft::test
