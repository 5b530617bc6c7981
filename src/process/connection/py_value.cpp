#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdio>

#include <weft/process/pickle.hpp>

#include "process/connection/python_key.hpp"

namespace weft::process {

namespace {

constexpr std::array<const char*, 10> kTypeNames{"NoneType", "bool", "int",   "float", "str",
                                                 "bytes",    "list", "tuple", "dict",  "set"};

// Alike, however they are ordered: no two members of one set have the same key, and a key that is no number equal to
// itself (NaN) is found nowhere.
bool same_members(const std::vector<PyValue>& a, const std::vector<PyValue>& b) {
  if (a.size() != b.size()) return false;
  const auto keys = [](const std::vector<PyValue>& values) {
    std::vector<std::string> all;
    for (const PyValue& value : values) all.push_back(detail::python_key(value));
    std::ranges::sort(all);
    return all;
  };
  return keys(a) == keys(b);
}

void quote(std::string& to, std::string_view text) {
  to += '\'';
  for (const char c : text) {
    if (c == '\'' || c == '\\') {
      to += '\\';
      to += c;
    } else if (static_cast<unsigned char>(c) < ' ' || c == 127) {
      char escaped[5];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(c));
      to += escaped;
    } else {
      to += c;
    }
  }
  to += '\'';
}

void join(std::string& to, const std::vector<PyValue>& items) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i != 0) to += ", ";
    to += items[i].repr();
  }
}

struct Repr {
  std::string operator()(std::monostate) const { return "None"; }
  std::string operator()(bool value) const { return value ? "True" : "False"; }
  std::string operator()(std::int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const {
    if (std::isnan(value)) return "nan";
    char text[32];
    std::string result{text, std::to_chars(text, text + sizeof text, value).ptr};
    if (std::isfinite(value) && result.find_first_of(".e") == std::string::npos) result += ".0";
    return result;
  }
  std::string operator()(const std::string& text) const {
    std::string result;
    quote(result, text);
    return result;
  }
  std::string operator()(const PyBytes& bytes) const {
    std::string result = "b";
    quote(result, bytes.data);
    return result;
  }
  std::string operator()(const PyList& list) const {
    std::string result = "[";
    join(result, list);
    return result + ']';
  }
  std::string operator()(const PyTuple& tuple) const {
    std::string result = "(";
    join(result, tuple.items);
    return result + (tuple.items.size() == 1 ? ",)" : ")");
  }
  std::string operator()(const PyDict& dict) const {
    std::string result = "{";
    for (const auto& [key, value] : dict.items) {
      if (result.size() != 1) result += ", ";
      result += key.repr() + ": " + value.repr();
    }
    return result + '}';
  }
  std::string operator()(const PySet& set) const {
    std::string result =
        set.items.empty() ? (set.frozen ? "frozenset(" : "set(") : (set.frozen ? "frozenset({" : "{");
    join(result, set.items);
    return result + (set.items.empty() ? ")" : set.frozen ? "})" : "}");
  }
};

}  // namespace

PyValue::PyValue(PyList list) : value_{std::move(list)} {}
PyValue::PyValue(PyTuple tuple) : value_{std::move(tuple)} {}
PyValue::PyValue(PyDict dict) : value_{std::move(dict)} {}
PyValue::PyValue(PySet set) : value_{std::move(set)} {}
PyValue::PyValue(const PyValue&) = default;
PyValue::PyValue(PyValue&&) noexcept = default;
PyValue& PyValue::operator=(const PyValue&) = default;
PyValue& PyValue::operator=(PyValue&&) noexcept = default;
PyValue::~PyValue() = default;

const char* PyValue::type_name() const noexcept {
  if (const auto* set = std::get_if<PySet>(&value_); set && set->frozen) return "frozenset";
  return kTypeNames[value_.index()];
}

std::string PyValue::repr() const {
  return std::visit(Repr{}, value_);
}

void PyValue::fail_type(std::size_t wanted) const {
  throw PickleError{std::string{"a Python value is a "} + type_name() + ", not a " + kTypeNames[wanted]};
}

const PyValue* PyDict::find(std::string_view key) const {
  for (const auto& [candidate, value] : items) {
    if (candidate.is<std::string>() && candidate.as<std::string>() == key) return &value;
  }
  return nullptr;
}

bool operator==(const PyValue& a, const PyValue& b) {
  return a.value_ == b.value_;
}

bool operator==(const PyTuple& a, const PyTuple& b) {
  return a.items == b.items;
}

bool operator==(const PySet& a, const PySet& b) {
  return a.frozen == b.frozen && same_members(a.items, b.items);
}

bool operator==(const PyDict& a, const PyDict& b) {
  if (a.items.size() != b.items.size()) return false;
  const auto sorted = [](const PyDict& dict) {
    std::vector<std::pair<std::string, const PyValue*>> all;
    for (const auto& [key, value] : dict.items) all.emplace_back(detail::python_key(key), &value);
    std::ranges::sort(all, {}, [](const auto& item) -> const std::string& { return item.first; });
    return all;
  };
  return std::ranges::equal(sorted(a), sorted(b), [](const auto& x, const auto& y) {
    return x.first == y.first && *x.second == *y.second;
  });
}

namespace detail {

namespace {

void append_number(std::string& to, char kind, std::uint64_t bits) {
  to += kind;
  for (int i = 0; i < 8; ++i) to += static_cast<char>(bits >> (8 * i));
}

// 1 == True == 1.0, but 2^53 + 1 is not 2.0^53.
void append_float(std::string& to, double value) {
  if (std::trunc(value) == value && value >= -0x1p63 && value < 0x1p63) {
    append_number(to, 'i', static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
  } else {
    append_number(to, 'f', std::bit_cast<std::uint64_t>(value));
  }
}

void append_text(std::string& to, char kind, std::string_view text) {
  append_number(to, kind, text.size());
  to += text;
}

void append_key(std::string& to, const PyValue& value, std::size_t& copied) {
  struct Append {
    std::string& to;
    const PyValue& value;
    std::size_t& copied;
    void operator()(std::monostate) const { to += 'n'; }
    void operator()(bool b) const { append_number(to, 'i', b ? 1 : 0); }
    void operator()(std::int64_t i) const { append_number(to, 'i', static_cast<std::uint64_t>(i)); }
    void operator()(double d) const { append_float(to, d); }
    void operator()(const std::string& text) const { append_text(to, 's', text); }
    void operator()(const PyBytes& bytes) const { append_text(to, 'b', bytes.data); }
    void operator()(const PyTuple& tuple) const {
      append_number(to, 't', tuple.items.size());
      for (const PyValue& item : tuple.items) append_key(to, item, copied);
    }
    void operator()(const PySet& set) const {
      if (!set.frozen) fail();
      std::vector<std::string> keys;
      for (const PyValue& item : set.items) append_key(keys.emplace_back(), item, copied);
      for (const std::string& key : keys) copied += key.size();
      std::ranges::sort(keys);
      append_number(to, 'z', keys.size());
      for (const std::string& key : keys) append_text(to, 'e', key);
    }
    void operator()(const PyList&) const { fail(); }
    void operator()(const PyDict&) const { fail(); }
    [[noreturn]] void fail() const {
      throw PickleError{std::string{"a "} + value.type_name() +
                        " cannot be a key of a dict or a member of a set: it is unhashable"};
    }
  };
  std::visit(Append{to, value, copied}, value.variant());
}

}  // namespace

std::string python_key(const PyValue& value, std::size_t* written) {
  std::string key;
  std::size_t copied = 0;
  append_key(key, value, copied);
  if (written) *written = copied + key.size();
  return key;
}

}  // namespace detail

}  // namespace weft::process
