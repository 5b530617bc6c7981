// Reads pickles without being a pickle machine: opcodes make nodes in one array, refer to each other by their number,
// and only the finished graph becomes a value. So a pickle can neither recurse, nor leave a cycle behind, nor copy
// before it has been paid for.

#include <bit>
#include <charconv>
#include <cstring>
#include <deque>
#include <map>
#include <optional>

#include <weft/process/pickle.hpp>

#include "process/connection/pickle_codes.hpp"
#include "process/connection/python_key.hpp"

namespace weft::process {

using namespace detail;

namespace {

using Number = std::uint32_t;  // of a node

// Trees, here and for the memo: whoever writes a pickle could make all of its keys meet in one bucket of a hash table.
using Places = std::map<std::string, std::size_t>;

/// The constructors that CPython's older protocols call for basic values. Never called: known by their names.
enum class Maker : std::uint8_t { Set, FrozenSet, Bytes, ByteArray, Encode };

struct Node {
  enum class Kind : std::uint8_t {
    None,
    Bool,
    Int,
    Float,
    Str,
    Bytes,
    List,
    Tuple,
    Dict,
    Set,
    FrozenSet,
    Maker
  };

  Kind kind = Kind::None;
  Maker maker = Maker::Set;
  std::int64_t integer = 0;
  double real = 0;
  std::string_view text;         // in the pickle, or in the reader's own texts
  std::vector<Number> children;  // of a dict: key, value, key, ...
};
using Kind = Node::Kind;

std::optional<Maker> maker_named(std::string_view module, std::string_view name) {
  if (module == "_codecs" && name == "encode") return Maker::Encode;
  if (module != "builtins" && module != "__builtin__") return std::nullopt;
  if (name == "set") return Maker::Set;
  if (name == "frozenset") return Maker::FrozenSet;
  if (name == "bytes") return Maker::Bytes;
  if (name == "bytearray") return Maker::ByteArray;
  return std::nullopt;
}

void append_utf8(std::string& to, std::uint32_t c) {
  if (c < 0x80) {
    to += static_cast<char>(c);
  } else if (c < 0x800) {
    to += static_cast<char>(0xc0 | c >> 6);
    to += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    to += static_cast<char>(0xe0 | c >> 12);
    to += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    to += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    to += static_cast<char>(0xf0 | c >> 18);
    to += static_cast<char>(0x80 | (c >> 12 & 0x3f));
    to += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    to += static_cast<char>(0x80 | (c & 0x3f));
  }
}

class Reader {
 public:
  Reader(std::string_view bytes, const PickleLimits& limits) : bytes_{bytes}, limits_{limits} {}

  PyValue read() {
    while (step(static_cast<Code>(take_byte()))) {
    }
    if (at_ != bytes_.size()) fail(std::to_string(bytes_.size() - at_) + " bytes follow its end");
    if (stack_.size() != 1 || !marks_.empty())
      fail("it ends with " + std::to_string(stack_.size()) + " values instead of one");
    values_ = 1;
    text_bytes_ = 0;
    return value_of(stack_.front(), 0);
  }

 private:
  // ---- the opcodes; false: the last one

  bool step(Code code) {
    switch (code) {
      case Code::Stop:
        return false;
      case Code::Proto:
        if (const unsigned protocol = take_byte(); protocol > 5)
          fail("it is of protocol " + std::to_string(protocol));
        break;
      case Code::Frame:
        if (take_size(8) > bytes_.size() - at_) fail("it ends inside a frame");
        break;
      case Code::Mark:
        marks_.push_back(stack_.size());
        break;
      case Code::Pop:
        // As CPython: of a mark, if that is what is on top.
        if (!marks_.empty() && marks_.back() == stack_.size()) {
          marks_.pop_back();
        } else {
          (void)pop();
        }
        break;
      case Code::PopMark:
        (void)pop_marked();
        break;
      case Code::Dup:
        pay_values(1);
        stack_.push_back(top());
        break;

      case Code::None:
        push(Kind::None);
        break;
      case Code::NewTrue:
        push(Kind::Bool).integer = 1;
        break;
      case Code::NewFalse:
        push(Kind::Bool);
        break;
      case Code::BinInt1:
        push_integer(static_cast<std::int64_t>(take_size(1)));
        break;
      case Code::BinInt2:
        push_integer(static_cast<std::int64_t>(take_size(2)));
        break;
      case Code::BinInt:
        push_integer(static_cast<std::int32_t>(take_size(4)));
        break;
      case Code::Long1:
        push_integer(long_of(take(take_size(1))));
        break;
      case Code::Long4:
        push_integer(long_of(take(take_size(4))));
        break;
      case Code::Int:
        push_int_line();
        break;
      case Code::Long:
        push_long_line();
        break;
      case Code::Float:
        push_float_line();
        break;
      case Code::BinFloat:
        push_real();
        break;

      case Code::ShortBinUnicode:
        push_text(Kind::Str, take(take_size(1)));
        break;
      case Code::BinUnicode:
        push_text(Kind::Str, take(take_size(4)));
        break;
      case Code::BinUnicode8:
        push_text(Kind::Str, take(take_size(8)));
        break;
      case Code::Unicode:
        push_text(Kind::Str, unescaped(take_line()));
        break;
      case Code::ShortBinBytes:
        push_text(Kind::Bytes, take(take_size(1)));
        break;
      case Code::BinBytes:
        push_text(Kind::Bytes, take(take_size(4)));
        break;
      case Code::BinBytes8:
      case Code::ByteArray8:
        push_text(Kind::Bytes, take(take_size(8)));
        break;

      case Code::EmptyList:
        push(Kind::List);
        break;
      case Code::EmptyTuple:
        push(Kind::Tuple);
        break;
      case Code::EmptyDict:
        push(Kind::Dict);
        break;
      case Code::EmptySet:
        push(Kind::Set);
        break;
      case Code::List:
        push_container(Kind::List, pop_marked());
        break;
      case Code::Tuple:
        push_container(Kind::Tuple, pop_marked());
        break;
      case Code::FrozenSet:
        push_container(Kind::FrozenSet, pop_marked());
        break;
      case Code::Dict:
        push_container(Kind::Dict, even(pop_marked()));
        break;
      case Code::Tuple1:
        push_container(Kind::Tuple, pop_last(1));
        break;
      case Code::Tuple2:
        push_container(Kind::Tuple, pop_last(2));
        break;
      case Code::Tuple3:
        push_container(Kind::Tuple, pop_last(3));
        break;
      case Code::Append:
        extend(Kind::List, pop_last(1));
        break;
      case Code::Appends:
        extend(Kind::List, pop_marked());
        break;
      case Code::SetItem:
        extend(Kind::Dict, pop_last(2));
        break;
      case Code::SetItems:
        extend(Kind::Dict, even(pop_marked()));
        break;
      case Code::AddItems:
        extend(Kind::Set, pop_marked());
        break;

      case Code::Memoize:
        remember(memo_.size());
        break;
      case Code::BinPut:
        remember(take_size(1));
        break;
      case Code::LongBinPut:
        remember(take_size(4));
        break;
      case Code::Put:
        remember(line_index());
        break;
      case Code::BinGet:
        recall(take_size(1));
        break;
      case Code::LongBinGet:
        recall(take_size(4));
        break;
      case Code::Get:
        recall(line_index());
        break;

      case Code::Global: {
        const std::string_view module = take_line();
        push_maker(module, take_line());
        break;
      }
      case Code::StackGlobal: {
        const std::vector<Number> names = pop_last(2);
        if (node(names[0]).kind != Kind::Str || node(names[1]).kind != Kind::Str)
          fail("a global without a name");
        push_maker(node(names[0]).text, node(names[1]).text);
        break;
      }
      case Code::Reduce: {
        const std::vector<Number> call = pop_last(2);
        make(call[0], call[1]);
        break;
      }
      default:
        fail_code(static_cast<unsigned char>(code));
    }
    return true;
  }

  // ---- the bytes

  unsigned char take_byte() { return static_cast<unsigned char>(take(1).front()); }

  std::string_view take(std::uint64_t size) {
    if (size > bytes_.size() - at_)
      fail("it ends too early: " + std::to_string(size) + " more bytes are needed");
    const std::string_view taken = bytes_.substr(at_, static_cast<std::size_t>(size));
    at_ += taken.size();
    return taken;
  }

  std::uint64_t take_size(int bytes) {
    std::uint64_t value = 0;
    const std::string_view taken = take(static_cast<std::uint64_t>(bytes));
    for (int i = bytes; i-- > 0;)
      value = value << 8 | static_cast<unsigned char>(taken[static_cast<std::size_t>(i)]);
    return value;
  }

  std::string_view take_line() {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fail("it ends inside a line");
    const std::string_view line = take(end - at_);
    (void)take(1);
    return line;
  }

  std::uint64_t line_index() {
    const std::string_view line = take_line();
    std::uint64_t index = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), index);
    if (error != std::errc{} || end != line.data() + line.size())
      fail("a place in the memo that is no number");
    return index;
  }

  // ---- numbers and texts

  void push_integer(std::int64_t value) { push(Kind::Int).integer = value; }

  // Two's complement, little-endian, of any length.
  std::int64_t long_of(std::string_view bytes) {
    std::uint64_t value = 0;
    const bool negative = !bytes.empty() && (static_cast<unsigned char>(bytes.back()) & 0x80) != 0;
    if (negative) value = ~std::uint64_t{0};
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const auto byte = static_cast<unsigned char>(bytes[i]);
      if (i >= 8) {
        if (byte != (negative ? 0xff : 0)) fail_big();
      } else {
        value = (value & ~(std::uint64_t{0xff} << (8 * i))) | std::uint64_t{byte} << (8 * i);
      }
    }
    if (bytes.size() > 8 && (static_cast<std::int64_t>(value) < 0) != negative) fail_big();
    return static_cast<std::int64_t>(value);
  }

  void push_int_line() {
    const std::string_view line = take_line();
    if (line == "00" || line == "01") {
      push(Kind::Bool).integer = line[1] - '0';
    } else {
      push_integer(integer_in(line));
    }
  }

  void push_long_line() {
    std::string_view line = take_line();
    if (line.ends_with('L')) line.remove_suffix(1);
    push_integer(integer_in(line));
  }

  std::int64_t integer_in(std::string_view line) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error == std::errc::result_out_of_range) fail_big();
    if (error != std::errc{} || end != line.data() + line.size()) fail("an int that is none");
    return value;
  }

  void push_float_line() {
    const std::string_view line = take_line();
    double value = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error != std::errc{} || end != line.data() + line.size()) fail("a float that is none");
    push(Kind::Float).real = value;
  }

  void push_real() {
    std::uint64_t bits = 0;
    for (const char byte : take(8)) bits = bits << 8 | static_cast<unsigned char>(byte);
    push(Kind::Float).real = std::bit_cast<double>(bits);
  }

  void push_text(Kind kind, std::string_view text) {
    if (kind == Kind::Str && !is_python_utf8(text)) fail("a str that is not UTF-8");
    push(kind).text = text;
  }

  std::string_view own(std::string text) {
    pay_bytes(text.size());
    return texts_.emplace_back(std::move(text));
  }

  // Protocol 0 writes the characters of Latin-1 as they are, others as \uXXXX or \UXXXXXXXX.
  std::string_view unescaped(std::string_view line) {
    std::string text;
    while (!line.empty()) {
      const std::size_t digits = line.starts_with("\\u") ? 4 : line.starts_with("\\U") ? 8 : 0;
      if (digits == 0) {
        append_utf8(text, static_cast<unsigned char>(line.front()));
        line.remove_prefix(1);
        continue;
      }
      std::uint32_t character = 0;
      const std::string_view hex = line.substr(2, digits);
      const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), character, 16);
      if (hex.size() != digits || error != std::errc{} || end != hex.data() + digits ||
          character > 0x10ffff) {
        fail("a str with an escape that is none");
      }
      append_utf8(text, character);
      line.remove_prefix(2 + digits);
    }
    return own(std::move(text));
  }

  // ---- the stack, the memo

  Node& node(Number number) { return nodes_[number]; }

  Node& push(Kind kind) {
    pay_values(1);
    stack_.push_back(static_cast<Number>(nodes_.size()));
    nodes_.push_back({});
    nodes_.back().kind = kind;
    return nodes_.back();
  }

  void push_container(Kind kind, std::vector<Number> children) { push(kind).children = std::move(children); }

  [[nodiscard]] std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  Number top() {
    if (stack_.size() <= floor()) fail("it takes a value that is not there");
    return stack_.back();
  }
  Number pop() {
    const Number number = top();
    stack_.pop_back();
    return number;
  }
  std::vector<Number> pop_last(std::size_t count) {
    if (stack_.size() - floor() < count) fail("it takes a value that is not there");
    return cut(stack_.size() - count);
  }
  std::vector<Number> pop_marked() {
    if (marks_.empty()) fail("it goes back to a mark that is not there");
    const std::size_t begin = marks_.back();
    marks_.pop_back();
    return cut(begin);
  }
  std::vector<Number> cut(std::size_t begin) {
    std::vector<Number> numbers(stack_.begin() + static_cast<std::ptrdiff_t>(begin), stack_.end());
    stack_.resize(begin);
    return numbers;
  }
  std::vector<Number> even(std::vector<Number> numbers) {
    if (numbers.size() % 2 != 0) fail("a dict with a key that has no value");
    return numbers;
  }

  void extend(Kind kind, const std::vector<Number>& children) {
    Node& container = node(top());
    if (container.kind != kind) fail("it adds to something that does not take it");
    container.children.insert(container.children.end(), children.begin(), children.end());
  }

  void remember(std::uint64_t index) {
    pay_values(1);
    memo_.insert_or_assign(memo_.end(), index, top());
  }
  void recall(std::uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) fail("it refers to something that was not remembered");
    pay_values(1);
    stack_.push_back(found->second);
  }

  // ---- constructors of the older protocols

  void push_maker(std::string_view module, std::string_view name) {
    const auto maker = maker_named(module, name);
    if (!maker) {
      fail("it asks for " + std::string{module.substr(0, 100)} + '.' + std::string{name.substr(0, 100)} +
           "; only basic values (None, bool, int, float, str, bytes, list, tuple, dict, set, frozenset) are "
           "read, and nothing is called");
    }
    push(Kind::Maker).maker = *maker;
  }

  void make(Number callable, Number arguments) {
    if (node(callable).kind != Kind::Maker || node(arguments).kind != Kind::Tuple)
      fail("it calls something that cannot be called");
    const Maker maker = node(callable).maker;
    const std::vector<Number> given = node(arguments).children;
    if (maker == Maker::Set || maker == Maker::FrozenSet) {
      std::vector<Number> members;
      if (!given.empty()) {
        const Kind kind = node(given[0]).kind;
        if (given.size() != 1 || (kind != Kind::List && kind != Kind::Tuple)) fail_made("a set");
        members = node(given[0]).children;
        pay_values(members.size());
      }
      return push_container(maker == Maker::Set ? Kind::Set : Kind::FrozenSet, std::move(members));
    }
    if (given.empty() && maker != Maker::Encode) return push_text(Kind::Bytes, {});
    const bool is_encoded = given.size() == 2 && node(given[0]).kind == Kind::Str &&
                            node(given[1]).kind == Kind::Str &&
                            (node(given[1]).text == "latin1" || node(given[1]).text == "latin-1");
    if (is_encoded && maker != Maker::Bytes) return push_text(Kind::Bytes, latin1(node(given[0]).text));
    if (given.size() != 1 || node(given[0]).kind != Kind::Bytes) fail_made("bytes");
    push_text(Kind::Bytes, node(given[0]).text);
  }

  [[noreturn]] void fail_made(const char* what) {
    fail(std::string{"it makes "} + what + " of something else than it should");
  }

  std::string_view latin1(std::string_view text) {
    std::string bytes;
    for (std::size_t i = 0; i < text.size(); ++i) {
      auto byte = static_cast<unsigned char>(text[i]);
      if (byte >= 0xc4)
        fail("bytes with a character above 255");  // its UTF-8 is valid: c2 and c3 begin those up to 255
      if (byte >= 0xc2)
        byte = static_cast<unsigned char>((byte & 3) << 6 | (static_cast<unsigned char>(text[++i]) & 0x3f));
      bytes += static_cast<char>(byte);
    }
    return own(std::move(bytes));
  }

  // ---- the value

  PyValue value_of(Number number, std::size_t depth) {
    const Node& n = node(number);
    switch (n.kind) {
      case Kind::None:
        return {};
      case Kind::Bool:
        return n.integer != 0;
      case Kind::Int:
        return n.integer;
      case Kind::Float:
        return n.real;
      case Kind::Str:
        return pay_bytes(n.text.size()), PyValue{n.text};
      case Kind::Bytes:
        return pay_bytes(n.text.size()), PyValue{PyBytes{std::string{n.text}}};
      case Kind::Maker:
        fail("a constructor is no value");
      default:
        break;
    }
    if (depth == limits_.max_depth) {
      fail("more than " + std::to_string(limits_.max_depth) +
           " containers in each other, or one that contains itself");
    }
    pay_values(
        n.children
            .size());  // before anything is made for them: one that contains itself has as many each time
    if (n.kind == Kind::Dict) return dict_of(n, depth + 1);
    std::vector<PyValue> items;
    items.reserve(n.children.size());
    if (n.kind == Kind::List || n.kind == Kind::Tuple) {
      for (const Number child : n.children) items.push_back(value_of(child, depth + 1));
      return n.kind == Kind::List ? PyValue{std::move(items)} : PyValue{PyTuple{std::move(items)}};
    }
    Places known;
    for (const Number child : n.children) {
      PyValue item = value_of(child, depth + 1);
      if (place_of(item, items.size(), known) == items.size()) items.push_back(std::move(item));
    }
    return PySet{std::move(items), n.kind == Kind::FrozenSet};
  }

  PyDict dict_of(const Node& n, std::size_t depth) {
    PyDict dict;
    dict.items.reserve(n.children.size() / 2);
    Places known;
    for (std::size_t i = 0; i < n.children.size(); i += 2) {
      PyValue key = value_of(n.children[i], depth);
      PyValue value = value_of(n.children[i + 1], depth);
      if (const std::size_t place = place_of(key, dict.items.size(), known); place == dict.items.size()) {
        dict.items.emplace_back(std::move(key), std::move(value));
      } else {
        dict.items[place].second = std::move(value);  // the last one wins
      }
    }
    return dict;
  }

  // Where such a key is already; `place`, when there is none.
  std::size_t place_of(const PyValue& key, std::size_t place, Places& known) {
    std::size_t written = 0;
    std::string text = python_key(key, &written);
    pay_bytes(written);
    if (key.is<double>() && key.as<double>() != key.as<double>()) return place;  // NaN is no other NaN
    return known.try_emplace(std::move(text), place).first->second;
  }

  // ---- limits and failures

  void pay_values(std::size_t count) {
    if (count > limits_.max_values - values_)
      fail("it holds more than " + std::to_string(limits_.max_values) + " values");
    values_ += count;
  }
  void pay_bytes(std::size_t count) {
    if (count > limits_.max_bytes - text_bytes_)
      fail("it holds more than " + std::to_string(limits_.max_bytes) + " bytes of text");
    text_bytes_ += count;
  }

  [[noreturn]] void fail_big() { fail("an int of more than 64 bits"); }
  [[noreturn]] void fail_code(unsigned code) {
    fail("opcode " + std::to_string(code) + ", which no basic value needs");
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw PickleError{"reading a pickle of " + std::to_string(bytes_.size()) + " bytes, at byte " +
                      std::to_string(at_) + ": " + what};
  }

  const std::string_view bytes_;
  const PickleLimits limits_;
  std::size_t at_ = 0;
  std::vector<Node> nodes_;
  std::deque<std::string> texts_;
  std::vector<Number> stack_;
  std::vector<std::size_t> marks_;  // how high the stack was
  std::map<std::uint64_t, Number> memo_;
  std::size_t values_ = 0;
  std::size_t text_bytes_ = 0;
};

}  // namespace

PyValue pickle::loads(std::string_view bytes, const PickleLimits& limits) {
  return Reader{bytes, limits}.read();
}

bool detail::is_python_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t at) {
      return at < text.size() ? static_cast<unsigned char>(text[at]) : 0u;
    };
    const unsigned lead = byte(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const std::size_t size = lead >= 0xc2 && lead <= 0xdf   ? 2
                             : lead >= 0xe0 && lead <= 0xef ? 3
                             : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                            : 0;
    if (size == 0) return false;
    const unsigned second = byte(i + 1);
    // Not longer than need be, and not above U+10FFFF.
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f))
      return false;
    for (std::size_t j = 1; j < size; ++j) {
      if ((byte(i + j) & 0xc0) != 0x80) return false;
    }
    i += size;
  }
  return true;
}

}  // namespace weft::process
