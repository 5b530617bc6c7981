#include <bit>
#include <limits>

#include <weft/process/connection.hpp>
#include <weft/process/pickle.hpp>

#include "process/connection/pickle_codes.hpp"
#include "process/connection/python_key.hpp"

namespace weft::process {

using namespace detail;

namespace {

constexpr std::size_t kMostNested =
    1000;  // where CPython's reader and ours would refuse it or not be far from it

class Writer {
 public:
  explicit Writer(std::string& to) : to_{to} {}

  void write(const PyValue& value) {
    if (++depth_ > kMostNested) throw PickleError{"pickling: more than 1000 containers in each other"};
    std::visit(*this, value.variant());
    --depth_;
  }

  void operator()(std::monostate) { put(Code::None); }
  void operator()(bool value) { put(value ? Code::NewTrue : Code::NewFalse); }
  void operator()(std::int64_t value) {
    if (value >= 0 && value <= 0xff) return put(Code::BinInt1), little_endian(value, 1);
    if (value >= 0 && value <= 0xffff) return put(Code::BinInt2), little_endian(value, 2);
    if (value >= std::numeric_limits<std::int32_t>::min() &&
        value <= std::numeric_limits<std::int32_t>::max()) {
      return put(Code::BinInt), little_endian(value, 4);
    }
    int size = 5;  // the fewest bytes of two's complement
    while (size < 8 && (value >> (8 * size - 1)) != (value < 0 ? -1 : 0)) ++size;
    put(Code::Long1);
    little_endian(size, 1);
    little_endian(value, size);
  }
  void operator()(double value) {
    put(Code::BinFloat);
    const auto bits = std::bit_cast<std::uint64_t>(value);
    for (int shift = 56; shift >= 0; shift -= 8) to_ += static_cast<char>(bits >> shift);
  }
  void operator()(const std::string& text) {
    if (!is_python_utf8(text)) throw PickleError{"pickling a str: it is not UTF-8; send it as PyBytes"};
    sized(text, Code::ShortBinUnicode, Code::BinUnicode, Code::BinUnicode8);
  }
  void operator()(const PyBytes& bytes) {
    sized(bytes.data, Code::ShortBinBytes, Code::BinBytes, Code::BinBytes8);
  }
  void operator()(const PyList& list) {
    put(Code::EmptyList);
    marked(list, Code::Appends);
  }
  void operator()(const PyTuple& tuple) {
    static constexpr Code kShort[] = {Code::EmptyTuple, Code::Tuple1, Code::Tuple2, Code::Tuple3};
    if (tuple.items.size() > 3) put(Code::Mark);
    for (const PyValue& item : tuple.items) write(item);
    put(tuple.items.size() > 3 ? Code::Tuple : kShort[tuple.items.size()]);
  }
  void operator()(const PyDict& dict) {
    put(Code::EmptyDict);
    if (dict.items.empty()) return;
    put(Code::Mark);
    for (const auto& [key, value] : dict.items) {
      (void)python_key(key);  // for its check
      write(key);
      write(value);
    }
    put(Code::SetItems);
  }
  void operator()(const PySet& set) {
    for (const PyValue& item : set.items) (void)python_key(item);
    if (set.frozen) {
      put(Code::Mark);
      for (const PyValue& item : set.items) write(item);
      put(Code::FrozenSet);
      return;
    }
    put(Code::EmptySet);
    marked(set.items, Code::AddItems);
  }

 private:
  void put(Code code) { to_ += static_cast<char>(code); }
  void little_endian(std::int64_t value, int size) {
    for (int i = 0; i < size; ++i) to_ += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
  }
  void sized(const std::string& bytes, Code shortest, Code middle, Code longest) {
    const std::size_t size = bytes.size();
    const bool fits_1 = size <= 0xff, fits_4 = size <= 0xffffffff;
    put(fits_1 ? shortest : fits_4 ? middle : longest);
    little_endian(static_cast<std::int64_t>(size), fits_1 ? 1 : fits_4 ? 4 : 8);
    to_ += bytes;
  }
  void marked(const std::vector<PyValue>& items, Code end) {
    if (items.empty()) return;
    put(Code::Mark);
    for (const PyValue& item : items) write(item);
    put(end);
  }

  std::string& to_;
  std::size_t depth_ = 0;
};

}  // namespace

std::string pickle::dumps(const PyValue& value) {
  std::string bytes{static_cast<char>(Code::Proto), '\4'};
  Writer{bytes}.write(value);
  bytes += static_cast<char>(Code::Stop);
  return bytes;
}

void send_python(Connection& connection, const PyValue& value, Deadline deadline) {
  connection.send_bytes(pickle::dumps(value), deadline);
}

PyValue recv_python(Connection& connection, Deadline deadline, const PickleLimits& limits) {
  return pickle::loads(connection.recv_bytes(deadline), limits);
}

}  // namespace weft::process
