#include <weft/process/pickle.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <weft/process/connection.hpp>

namespace weft::test {
namespace {

using namespace std::string_literals;
using namespace process;

std::string unhex(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) bytes += static_cast<char>(std::stoi(std::string{text.substr(i, 2)}, nullptr, 16));
  return bytes;
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// What it says about a pickle that it refuses.
std::string refusal(std::string_view bytes, const PickleLimits& limits = {}) {
  try {
    return "accepted: " + pickle::loads(bytes, limits).repr();
  } catch (const PickleError& error) {
    return error.what();
  }
}

void expect_refused(std::string_view bytes, std::string_view why, const PickleLimits& limits = {}) {
  const std::string said = refusal(bytes, limits);
  EXPECT_NE(said.find(why), std::string::npos) << hex(bytes) << ": " << said;
}

struct Captured {
  PyValue value;
  const char* pickle;  // by CPython 3.11, in hexadecimal
};

// Protocol 4 unless another stands there.
const std::vector<Captured>& captured() {
  static const std::vector<Captured> all{
      {{}, "80044e2e"},
      {true, "8004882e"},
      {false, "8004892e"},
      {0, "80044b002e"},
      {255, "80044bff2e"},
      {256, "80049504000000000000004d00012e"},
      {65536, "80049506000000000000004a000001002e"},
      {-1, "80049506000000000000004affffffff2e"},
      {std::int64_t{1} << 31, "80049508000000000000008a0500000080002e"},
      {-(std::int64_t{1} << 31) - 1, "80049508000000000000008a05ffffff7fff2e"},
      {std::numeric_limits<std::int64_t>::max(), "8004950b000000000000008a08ffffffffffffff7f2e"},
      {std::numeric_limits<std::int64_t>::min(), "8004950b000000000000008a0800000000000000802e"},
      {1.5, "8004950a00000000000000473ff80000000000002e"},
      {std::numeric_limits<double>::infinity(), "8004950a00000000000000477ff00000000000002e"},
      {"", "80049504000000000000008c00942e"},
      {"abc", "80049507000000000000008c03616263942e"},
      {"\xc3\xa9", "80049506000000000000008c02c3a9942e"},
      {"\xed\xa0\x80", "80049507000000000000008c03eda080942e"},
      {PyBytes{""}, "80049504000000000000004300942e"},
      {PyBytes{"ab"}, "800495060000000000000043026162942e"},
      {PyBytes{"ab"}, "80034302616271002e"},
      {PyBytes{"ab"}, "8002635f636f646563730a656e636f64650a710058020000006162710158060000006c6174696e3171028671035271042e"},
      {PyBytes{"ab"}, "80049523000000000000008c086275696c74696e73948c096279746561727261799493944302616294859452942e"},
      {PyBytes{"ab"}, "8005950d000000000000009602000000000000006162942e"},
      {PyList{}, "80045d942e"},
      {PyList{1}, "80049506000000000000005d944b01612e"},
      {PyList{1, 2}, "80049509000000000000005d94284b014b02652e"},
      {PyTuple{}, "8004292e"},
      {PyTuple{{1}}, "80049505000000000000004b0185942e"},
      {PyTuple{{1, 2, 3, 4}}, "8004950c00000000000000284b014b024b034b0474942e"},
      {PyDict{}, "80047d942e"},
      {PyDict{{{"a", 1}}}, "8004950a000000000000007d948c0161944b01732e"},
      {PyDict{{{"a", 1}, {"b", 2}}}, "80049511000000000000007d94288c0161944b018c0162944b02752e"},
      {PySet{}, "80048f942e"},
      {PySet{{1}}, "80049507000000000000008f94284b01902e"},
      {PySet{{1}}, "8003636275696c74696e730a7365740a71005d71014b01618571025271032e"},
      {PySet{{}, true}, "80049504000000000000002891942e"},
      {PySet{{1}, true}, "8004950600000000000000284b0191942e"},
      {PyList{"shared", "shared"}, "80049510000000000000005d94288c06736861726564946801652e"},
      {PyList{PyList{1}, PyList{1}}, "8004950c000000000000005d94285d944b01616801652e"},
  };
  return all;
}

TEST(Pickle, ReadsWhatCPythonWrites) {
  for (const auto& [value, text] : captured()) EXPECT_EQ(pickle::loads(unhex(text)), value) << text << ' ' << value.repr();
}

TEST(Pickle, ReadsWhatItWrites) {
  for (const auto& [value, text] : captured()) {
    const std::string bytes = pickle::dumps(value);
    EXPECT_EQ(bytes.substr(0, 2), "\x80\4"s);
    EXPECT_EQ(pickle::loads(bytes), value) << hex(bytes);
  }
}

TEST(Pickle, WritesTheShortestForm) {
  EXPECT_EQ(hex(pickle::dumps({})), "80044e2e");
  EXPECT_EQ(hex(pickle::dumps(65535)), "80044dffff2e");
  EXPECT_EQ(hex(pickle::dumps(-1)), "80044affffffff2e");
  EXPECT_EQ(hex(pickle::dumps(std::int64_t{1} << 31)), "80048a0500000080002e");
  EXPECT_EQ(hex(pickle::dumps(-(std::int64_t{1} << 39))), "80048a0500000000802e");
  EXPECT_EQ(hex(pickle::dumps(PyTuple{{1, "a"}})), "80044b018c0161862e");
  EXPECT_EQ(hex(pickle::dumps(std::string(256, 'x'))).substr(0, 14), "80045800010000");
}

// pickle.dumps({'a': [1, 2.5, None, True], 'b': (b'x', 'é')}, 0) and (..., 1)
TEST(Pickle, ReadsTheOldestProtocols) {
  const PyValue value = PyDict{{{"a", PyList{1, 2.5, {}, true}}, {"b", PyTuple{{"x", "\xc3\xa9"}}}}};
  EXPECT_EQ(pickle::loads("(dp0\nVa\np1\n(lp2\nI1\naF2.5\naNaI01\nasVb\np3\n(Vx\np4\nV\xe9\np5\ntp6\ns."), value);
  EXPECT_EQ(pickle::loads("}q\0(X\1\0\0\0aq\1]q\2(K\1G@\4\0\0\0\0\0\0NI01\neX\1\0\0\0bq\3X\1\0\0\0xq\4X\2\0\0\0\xc3\xa9q\5\x86q\6u."s), value);
  EXPECT_EQ(pickle::loads("L-5L\n."), PyValue{-5});
  EXPECT_EQ(pickle::loads("V\\u20ac\\U0001f600\n."), PyValue{"\xe2\x82\xac\xf0\x9f\x98\x80"});
}

TEST(Pickle, TellsKeysApartAsPythonDoes) {
  // {1: 'a', True: 'b', 1.0: 'c', 2: 'd'} is {1: 'c', 2: 'd'}
  const PyValue read = pickle::loads(pickle::dumps(PyDict{{{1, "a"}, {true, "b"}, {1.0, "c"}, {2, "d"}}}));
  EXPECT_EQ(read.repr(), "{1: 'c', 2: 'd'}");
  EXPECT_EQ(pickle::loads(pickle::dumps(PySet{{"a", PyBytes{"a"}, "a", -0.0, 0}})).as<PySet>().items.size(), 3u);
  const double nan = std::nan("");
  EXPECT_EQ(pickle::loads(pickle::dumps(PySet{{nan, nan}})).as<PySet>().items.size(), 2u);
  EXPECT_EQ(pickle::loads(pickle::dumps(PySet{{(std::int64_t{1} << 53) + 1, 9007199254740992.0}})).as<PySet>().items.size(), 2u);
}

TEST(Pickle, RefusesWhatCannotBeAKey) {
  EXPECT_THROW((void)pickle::dumps(PyDict{{{PyList{}, 1}}}), PickleError);
  EXPECT_THROW((void)pickle::dumps(PySet{{PyTuple{{PyDict{}}}}}), PickleError);
  expect_refused("\x80\4}(]K\1u."s, "unhashable");
  expect_refused("\x80\4\x8f(}\x90."s, "unhashable");
}

TEST(Pickle, NeverCallsAnything) {
  expect_refused("cos\nsystem\n(S'true'\ntR.", "os.system");
  expect_refused("cposix\nsystem\n(Vtrue\ntR.", "posix.system");
  expect_refused("\x80\4\x8c\x08" "builtins\x8c\x04" "eval\x93\x8c\x01" "1\x85R."s, "builtins.eval");
  expect_refused("\x80\4\x8c\x08" "datetime\x8c\x08" "datetime\x93."s, "datetime.datetime");
  expect_refused("\x80\4\x8c\x08" "builtins\x8c\x03" "set\x93."s, "no value");
  expect_refused("\x80\4K\1K\2\x85R."s, "cannot be called");
  // __setstate__, __new__, persistent ids, extensions, buffers
  for (const char* code : {"b", "\x81", "\x92", "P1\n", "Q", "i", "o", "\x82\1", "\x97", "\x98", "S'x'\n", "T\1\0\0\0x"}) {
    expect_refused("\x80\4" "NN"s + code + ".", "opcode");
  }
}

TEST(Pickle, RefusesIntegersThatDoNotFit) {
  expect_refused(unhex("8004950c000000000000008a090000000000000080002e"), "64 bits");  // 2**63
  expect_refused("I9223372036854775808\n.", "64 bits");
  EXPECT_EQ(pickle::loads(unhex("80048a0affffffffffffffffffff2e")), PyValue{-1});
  EXPECT_EQ(pickle::loads(unhex("80048a002e")), PyValue{0});
}

TEST(Pickle, RefusesWhatEndsTooEarlyAtEveryByte) {
  for (const auto& [value, text] : captured()) {
    const std::string bytes = unhex(text);
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) EXPECT_THROW((void)pickle::loads(bytes.substr(0, cut)), PickleError) << text << cut;
  }
}

TEST(Pickle, RefusesWhatIsNotOneValue) {
  expect_refused("", "ends too early");
  expect_refused(".", "0 values");
  expect_refused("NN.", "2 values");
  expect_refused("(N.", "1 values");
  expect_refused("N.N.", "2 bytes follow");
  expect_refused("\x80\6N.", "protocol 6");
  expect_refused("\x80\4\x95\xff\0\0\0\0\0\0\0N."s, "ends inside a frame");
}

TEST(Pickle, RefusesNonsense) {
  expect_refused("0.", "not there");
  expect_refused("t.", "mark that is not there");
  expect_refused("(K\1K\2a.", "does not take it");
  expect_refused("N(a.", "not there");
  expect_refused("](a.", "not there");
  expect_refused("K\1K\2a.", "does not take it");
  expect_refused("(K\1d.", "no value");
  expect_refused("h\1.", "not remembered");
  expect_refused("\x80\4\x8c\2\xc3(."s, "UTF-8");
  expect_refused("\x80\4\x8c\2\xc0\x80."s, "UTF-8");
  expect_refused("\x80\4\x8c\4\xf4\x90\x80\x80."s, "UTF-8");
  EXPECT_THROW((void)pickle::dumps("\xff"), PickleError);
}

TEST(Pickle, RefusesWhatClaimsToBeLargerThanItIs) {
  expect_refused("\x80\4\x8d\xff\xff\xff\xff\xff\xff\xff\x7fx."s, "ends too early");
  expect_refused("\x80\4\x8e\xff\xff\xff\xff\xff\xff\xff\xffx."s, "ends too early");
  expect_refused("\x80\4\x8b\xff\xff\xff\xff."s, "ends too early");
}

TEST(Pickle, RefusesWhatIsTooDeepWithoutGoingThere) {
  const std::size_t depth = 1'000'000;
  expect_refused(std::string(depth, ']') + std::string(depth - 1, 'a') + ".", "in each other");
  expect_refused("N" + std::string(depth, '\x85') + ".", "in each other");
  EXPECT_THROW((void)pickle::loads("]]]aa.", {.max_depth = 2}), PickleError);
  EXPECT_EQ(pickle::loads("]]]aa.", {.max_depth = 3}).repr(), "[[[]]]");
  PyValue nested;
  for (int i = 0; i < 1001; ++i) nested = PyList{std::move(nested)};
  EXPECT_THROW((void)pickle::dumps(nested), PickleError);
}

TEST(Pickle, RefusesValuesThatContainThemselves) {
  expect_refused("\x80\4]\x94h\0a."s, "contains itself");
  expect_refused("\x80\4]\x94h\0\x85\x94" "a."s, "contains itself");
  expect_refused("\x80\4]\x94h\0h\0\x86" "a."s, "contains itself");
  expect_refused(unhex("8004950b000000000000005d9468008594613068012e"), "contains itself");  // a tuple
}

// [[...[[x, x], [x, x]]...]]: fifty bytes that would become 2^40 values.
TEST(Pickle, CountsWhatOccursSeveralTimesAsOften) {
  std::string bytes = "\x80\4]\x94"s;
  for (int i = 0; i < 40; ++i) bytes += "\x68"s + static_cast<char>(i) + "\x68" + static_cast<char>(i) + "\x86\x94";
  // What is below on the stack goes away.
  bytes += "\x85"s;
  std::string whole = "\x80\4("s + bytes.substr(2) + "t.";
  expect_refused(whole, "more than 4000000 values");
  const std::string long_text(1000, 'x');
  expect_refused("\x80\4(\x8e\xe8\3\0\0\0\0\0\0"s + long_text + "\x94h\0h\0h\0t."s, "bytes of text", {.max_bytes = 3000});
  expect_refused("\x80\4(NNNNt."s, "more than 4 values", {.max_values = 4});
}

TEST(Pickle, ConversationsOfBasicValuesGoOverAConnection) {
  auto [here, there] = process::pipe();
  const PyValue value = PyDict{{{"list", PyList{1, 2.5, "three"}}, {4, PyBytes{"\0\xff"s}}}};
  send_python(here, value);
  EXPECT_EQ(recv_python(there), value);
  here.send_bytes("no pickle");
  EXPECT_THROW((void)recv_python(there), PickleError);
}

TEST(PyValue, SaysWhatItIs) {
  EXPECT_EQ(PyValue{}.repr(), "None");
  EXPECT_EQ((PyValue{PyList{true, 1, 1.0, 1e300, "it's\n", PyBytes{"\0"s}}}).repr(), "[True, 1, 1.0, 1e+300, 'it\\'s\\x0a', b'\\x00']");
  EXPECT_EQ((PyValue{PyTuple{{1}}}).repr(), "(1,)");
  EXPECT_EQ((PyValue{PySet{}}).repr(), "set()");
  EXPECT_EQ((PyValue{PySet{{1}, true}}).repr(), "frozenset({1})");
  EXPECT_EQ((PyValue{PySet{{}, true}}).type_name(), "frozenset"s);
  EXPECT_EQ((PyValue{PyDict{{{"a", PyDict{}}}}}).as<PyDict>().find("a")->repr(), "{}");
  EXPECT_EQ((PyValue{PyDict{}}).as<PyDict>().find("a"), nullptr);
  EXPECT_THROW((void)PyValue{1}.as<std::string>(), PickleError);
}

TEST(PyValue, ComparesSetsAndDictsWhateverTheirOrder) {
  EXPECT_EQ((PySet{{1, 2, "x"}}), (PySet{{"x", 2, 1}}));
  EXPECT_FALSE((PySet{{1, 2}}) == (PySet{{1, 3}}));
  EXPECT_EQ((PyDict{{{1, "a"}, {2, "b"}}}), (PyDict{{{2, "b"}, {1, "a"}}}));
  EXPECT_FALSE((PyDict{{{1, "a"}, {2, "b"}}}) == (PyDict{{{2, "a"}, {1, "b"}}}));
  EXPECT_FALSE(PyValue{1} == PyValue{true});
}

}  // namespace
}  // namespace weft::test
