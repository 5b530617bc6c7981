#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>

namespace weft::process {

class Connection;
class PyValue;

/// Bytes that are no pickle, or one of something else than basic values.
class PickleError : public ProtocolError {
 public:
  using ProtocolError::ProtocolError;
};

using PyList = std::vector<PyValue>;
struct PyBytes {
  std::string data;
  friend bool operator==(const PyBytes&, const PyBytes&) = default;
};
struct PyTuple {
  std::vector<PyValue> items;
  friend bool operator==(const PyTuple&, const PyTuple&);
};
/// In the order of insertion. Equal whatever the order.
struct PyDict {
  std::vector<std::pair<PyValue, PyValue>> items;
  /// The value of a key that is a string; null: there is none. Cost: looks at every item.
  [[nodiscard]] const PyValue* find(std::string_view key) const;
  friend bool operator==(const PyDict&, const PyDict&);
};
/// A set, or a frozenset. Equal whatever the order.
struct PySet {
  std::vector<PyValue> items;
  bool frozen = false;
  friend bool operator==(const PySet&, const PySet&);
};

/// A basic value of Python: None, bool, int of at most 64 bits, float, str, bytes, list, tuple, dict, set or frozenset.
///
///     process::PyValue request = process::PyDict{{{"job", 7}, {"names", process::PyList{"ann", "bob"}}}};
///     connection.send_bytes(process::pickle::dumps(request));              // conn.recv() in Python
///     process::PyValue reply = process::pickle::loads(connection.recv_bytes());  // conn.send(...) in Python
///
/// Semantics:     a value: copies are deep. A str is UTF-8, in which lone surrogates may stand as they do for Python.
///                Equal means equal of the same type, so that 1 is not True; keys and members are told apart as Python
///                does it, so that they are the same there.
/// Thread-safety: as an int.
class PyValue {
 public:
  using Variant = std::variant<std::monostate, bool, std::int64_t, double, std::string, PyBytes, PyList,
                               PyTuple, PyDict, PySet>;

  PyValue() noexcept = default;
  PyValue(bool value) : value_{value} {}
  template <std::integral T>
  requires(!std::same_as<T, bool> && (sizeof(T) < sizeof(std::int64_t) || std::signed_integral<T>))
      PyValue(T value)
      : value_{static_cast<std::int64_t>(value)} {}
  PyValue(double value) : value_{value} {}
  PyValue(const char* text) : value_{std::string{text}} {}
  PyValue(std::string_view text) : value_{std::string{text}} {}
  PyValue(std::string text) : value_{std::move(text)} {}
  PyValue(PyBytes bytes) : value_{std::move(bytes)} {}
  PyValue(PyList list);
  PyValue(PyTuple tuple);
  PyValue(PyDict dict);
  PyValue(PySet set);
  PyValue(const PyValue&);
  PyValue(PyValue&&) noexcept;
  PyValue& operator=(const PyValue&);
  PyValue& operator=(PyValue&&) noexcept;
  ~PyValue();

  [[nodiscard]] bool is_none() const noexcept { return value_.index() == 0; }
  template <class T>
  [[nodiscard]] bool is() const noexcept {
    return std::holds_alternative<T>(value_);
  }
  /// T: bool, std::int64_t, double, std::string, PyBytes, PyList, PyTuple, PyDict, PySet. Throws: PickleError: it is
  /// something else.
  template <class T>
  [[nodiscard]] const T& as() const {
    const T* value = std::get_if<T>(&value_);
    if (!value) fail_type(Variant{std::in_place_type<T>}.index());
    return *value;
  }
  [[nodiscard]] const Variant& variant() const noexcept { return value_; }
  /// As Python's type(value).__name__ and repr(value), though a float may be written in another way.
  [[nodiscard]] const char* type_name() const noexcept;
  [[nodiscard]] std::string repr() const;

  friend bool operator==(const PyValue&, const PyValue&);

 private:
  [[noreturn]] void fail_type(std::size_t wanted) const;

  Variant value_;
};

/// What a pickle may cost: more is refused.
struct PickleLimits {
  std::size_t max_depth = 200;  // of containers in each other; a list that contains itself is deeper than any
  std::size_t max_values = 4'000'000;            // those that occur several times counted as often
  std::size_t max_bytes = std::size_t{1} << 30;  // of text and bytes, likewise, and of keys and members to be compared
};

namespace pickle {

/// The value in protocol 4, which every Python since 3.4 reads. Throws: PickleError: text that is not UTF-8, an
/// unhashable key, or deeper than 1000 containers.
[[nodiscard]] std::string dumps(const PyValue& value);

/// The value in a pickle of any protocol, 0 to 5. Nothing is looked up, called or executed: what asks for more than the
/// constructors of basic values is refused, by name. Throws: PickleError, which says what was found and where.
/// Cost: proportional to the size of the pickle and of the value; no recursion deeper than `max_depth`.
[[nodiscard]] PyValue loads(std::string_view bytes, const PickleLimits& limits = {});

}  // namespace pickle

/// What CPython's conn.recv() takes, and what its conn.send() sends. Throws: as dumps() and send_bytes(), loads() and
/// recv_bytes().
void send_python(Connection& connection, const PyValue& value, Deadline deadline = {});
[[nodiscard]] PyValue recv_python(Connection& connection, Deadline deadline = {},
                                  const PickleLimits& limits = {});

}  // namespace weft::process
