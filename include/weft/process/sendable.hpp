#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <weft/detail/send_culprit.hpp>
#include <weft/detail/send_kind.hpp>
#include <weft/detail/sent_function.hpp>
#include <weft/process/parcel.hpp>

namespace weft::detail {

template <class T>
void send_value(process::Outgoing& out, const T& value);
template <class Container>
void send_elements(process::Outgoing& out, const Container& elements);
template <class T>
[[nodiscard]] T receive_value(process::Incoming& in);
template <class T>
[[nodiscard]] T receive_bytes(process::Incoming& in);
template <class T>
[[nodiscard]] T receive_elements(process::Incoming& in);
template <class T, std::size_t... I>
[[nodiscard]] T receive_tuple(process::Incoming& in, std::index_sequence<I...>);
template <class T, std::size_t... I>
[[nodiscard]] T receive_array(process::Incoming& in, std::index_sequence<I...>);
template <class T, std::size_t... I>
[[nodiscard]] T receive_fields(process::Incoming& in, std::index_sequence<I...>);
template <class T, std::size_t I = 0>
[[nodiscard]] T receive_alternative(process::Incoming& in, std::uint32_t index);
/// Throws ProtocolError.
[[noreturn]] void fail_received(const char* what);
[[noreturn]] void fail_unread(std::size_t bytes);
/// Of what was sent to be read by one receiver.
inline void require_all_read(const process::Incoming& in) {
  if (in.remaining() != 0) [[unlikely]]
    fail_unread(in.remaining());
}
/// New memory that will be filled next, in huge pages if it can be: its page faults would take longer than the copying.
constexpr std::size_t kLargeElements = std::size_t{4} << 20;
void expect_large(void* begin, std::size_t size) noexcept;

}  // namespace weft::detail

namespace weft {

/// What can be sent to another process of the same program. The first of these that fits decides how:
///   1. types with a Transfer: weft's own that live in shared memory or own a descriptor (process::Lock, Value, Socket, OwnedFd, ...);
///   2. types with their own serialize(archive), or save(archive) const and load(archive), as a member or a function beside the type, as
///      Cereal and Boost know them, with or without Boost's version behind; they must be default-constructible;
///   3. numbers, enumerations, functions (plain ones, not members), empty classes, captureless lambdas among them;
///   4. strings, containers, tuples, optional, variant, chrono's times, complex numbers, bitsets and paths of what is Sendable; comparators and
///      hashes must be without state, as the receiver makes its own;
///   5. aggregates of Sendable fields (by Boost.PFR): at most 100, without base classes and C arrays. They need no default constructor. One
///      that contains itself, by a vector for example, needs a serialize of its own, and so does, with GCC 12, one with a std::array of
///      class types.
/// Never: pointers, references, views, smart pointers, closures with captures, std::function, whatever refers to this process alone
/// (threads, weft::Lock, streams). detail::require_sendable<T>() refuses such a type with the part that cannot be sent and the cure.
///
/// A function goes as its module and offset, and is refused where the same build of the module is not loaded. Bytes go as this machine
/// keeps them: sender and receiver are of one architecture, and read the same types in the same order.
template <class T>
concept Sendable = detail::sendable<std::remove_cvref_t<T>>;

namespace process {

template <class... T>
Outgoing& Outgoing::operator()(const T&... values) {
  (weft::detail::send_value(*this, values), ...);
  return *this;
}

template <class T>
T Incoming::receive() {
  weft::detail::require_sendable<T>();
  return weft::detail::receive_value<T>(*this);
}

template <class... T>
Incoming& Incoming::operator()(T&... values) {
  ((values = receive<T>()), ...);
  return *this;
}

}  // namespace process

namespace detail {

template <class T>
void send_value(process::Outgoing& out, const T& value) {
  require_sendable<T>();
  constexpr SendKind kKind = send_kind<T>();
  if constexpr (kKind == SendKind::Transfer) {
    process::Transfer<T>::send(out, value);
  } else if constexpr (kKind == SendKind::Own) {
    own::save_to(out, value);
  } else if constexpr (kKind == SendKind::Bytes || kKind == SendKind::LooseBytes) {
    out.write(&value, sizeof value);
  } else if constexpr (kKind == SendKind::Function) {
    send_function(out, reinterpret_cast<void (*)()>(value));
  } else if constexpr (kKind == SendKind::Empty) {
    out.write("", 1);
  } else if constexpr (kKind == SendKind::Sequence || kKind == SendKind::Association) {
    send_elements(out, value);
  } else if constexpr (kKind == SendKind::Tuple || kKind == SendKind::Array) {
    std::apply([&](const auto&... parts) { (send_value(out, parts), ...); }, value);
  } else if constexpr (kKind == SendKind::Optional) {
    send_value(out, value.has_value());
    if (value) send_value(out, *value);
  } else if constexpr (kKind == SendKind::Variant) {
    send_value(out, static_cast<std::uint32_t>(value.index()));  // valueless: an index that no receiver believes
    if (!value.valueless_by_exception()) std::visit([&](const auto& held) { send_value(out, held); }, value);
  } else if constexpr (kKind == SendKind::Duration) {
    send_value(out, value.count());
  } else if constexpr (kKind == SendKind::TimePoint) {
    send_value(out, value.time_since_epoch().count());
  } else if constexpr (kKind == SendKind::Complex) {
    send_value(out, value.real());
    send_value(out, value.imag());
  } else if constexpr (kKind == SendKind::Bitset) {
    send_elements(out, value.to_string());
  } else if constexpr (kKind == SendKind::Path) {
    send_elements(out, value.native());
  } else if constexpr (kKind == SendKind::Aggregate) {
    boost::pfr::for_each_field(value, [&](const auto& field) { send_value(out, field); });
  }
}

template <class Container>
std::uint64_t count_of(const Container& elements) {
  if constexpr (requires { elements.size(); }) {
    return elements.size();
  } else {
    std::uint64_t count = 0;
    for (auto at = elements.begin(); at != elements.end(); ++at) ++count;
    return count;
  }
}

template <class Container>
void send_elements(process::Outgoing& out, const Container& elements) {
  using Element = typename Container::value_type;
  out(count_of(elements));
  if constexpr (Contiguous<Container> && sent_as_bytes<Element>) {
    out.write(elements.data(), elements.size() * sizeof(Element));
  } else {
    for (const auto& element : elements) send_value(out, static_cast<const Element&>(element));
  }
}

template <class T>
T receive_value(process::Incoming& in) {
  constexpr SendKind kKind = send_kind<T>();
  if constexpr (kKind == SendKind::Transfer) {
    return process::Transfer<T>::receive(in);
  } else if constexpr (kKind == SendKind::Own) {
    T value{};
    own::load_from(in, value);
    return value;
  } else if constexpr (kKind == SendKind::Bytes || kKind == SendKind::LooseBytes) {
    return receive_bytes<T>(in);
  } else if constexpr (kKind == SendKind::Function) {
    return reinterpret_cast<T>(receive_function(in));
  } else if constexpr (kKind == SendKind::Empty) {
    (void)in.view(1);
    return T{};
  } else if constexpr (kKind == SendKind::Sequence || kKind == SendKind::Association) {
    return receive_elements<T>(in);
  } else if constexpr (kKind == SendKind::Tuple) {
    return receive_tuple<T>(in, std::make_index_sequence<std::tuple_size_v<T>>{});
  } else if constexpr (kKind == SendKind::Array) {
    return receive_array<T>(in, std::make_index_sequence<std::tuple_size_v<T>>{});
  } else if constexpr (kKind == SendKind::Optional) {
    if (!receive_value<bool>(in)) return T{};
    return T{receive_value<typename T::value_type>(in)};
  } else if constexpr (kKind == SendKind::Variant) {
    return receive_alternative<T>(in, receive_value<std::uint32_t>(in));
  } else if constexpr (kKind == SendKind::Duration) {
    return T{receive_value<typename T::rep>(in)};
  } else if constexpr (kKind == SendKind::TimePoint) {
    return T{typename T::duration{receive_value<typename T::rep>(in)}};
  } else if constexpr (kKind == SendKind::Complex) {
    const auto real = receive_value<typename T::value_type>(in);
    return T{real, receive_value<typename T::value_type>(in)};
  } else if constexpr (kKind == SendKind::Bitset) {
    const auto text = receive_elements<std::string>(in);
    if (text.size() != T{}.size() || text.find_first_not_of("01") != std::string::npos) fail_received("a bitset of another size");
    return T{text};
  } else if constexpr (kKind == SendKind::Path) {
    return T{receive_elements<typename T::string_type>(in)};
  } else if constexpr (kKind == SendKind::Aggregate) {
    return receive_fields<T>(in, std::make_index_sequence<boost::pfr::tuple_size_v<T>>{});
  } else {
    fail_received("a type that cannot be sent");  // never runs: it was refused as it was compiled
  }
}

template <class T>
T receive_bytes(process::Incoming& in) {
  if constexpr (std::is_same_v<T, bool>) {
    return *in.view(1).data() != std::byte{0};  // any other value than 0 and 1 is undefined in a bool
  } else {
    T value;
    in.read(&value, sizeof value);
    return value;
  }
}

template <class T>
T receive_elements(process::Incoming& in) {
  using Element = std::remove_const_t<typename T::value_type>;
  const auto count = receive_value<std::uint64_t>(in);
  if (count > in.remaining()) fail_received("a container that says it holds more than was sent");
  T elements;
  if constexpr (Contiguous<T> && sent_as_bytes<Element>) {
    if (count > in.remaining() / sizeof(Element)) fail_received("a container that says it holds more than was sent");
    const std::size_t size = count * sizeof(Element);
    if constexpr (requires { elements.reserve(count); }) {
      if (size >= kLargeElements) {
        elements.reserve(count);
        expect_large(elements.data(), size);
      }
    }
    elements.resize(count);
    in.read(elements.data(), size);
  } else {
    if constexpr (requires { elements.reserve(count); }) elements.reserve(count < 1024 ? count : 1024);
    for (std::uint64_t i = 0; i < count; ++i) {
      if constexpr (send_kind<T>() == SendKind::Association) {
        elements.insert(receive_value<plain_pair<Element>>(in));
      } else if constexpr (requires { elements.push_back(std::declval<Element>()); }) {
        elements.push_back(receive_value<Element>(in));
      } else {
        elements.push_front(receive_value<Element>(in));
      }
    }
    if constexpr (!requires { elements.insert(receive_value<Element>(in)); } && !requires { elements.push_back(std::declval<Element>()); })
      elements.reverse();  // a forward_list
  }
  return elements;
}

// Braces: the parts are read in their order.
template <class T, std::size_t... I>
T receive_tuple(process::Incoming& in, std::index_sequence<I...>) {
  return T{receive_value<std::remove_const_t<std::tuple_element_t<I, T>>>(in)...};
}

template <class T, std::size_t... I>
T receive_array(process::Incoming& in, std::index_sequence<I...>) {
  return T{{(static_cast<void>(I), receive_value<typename T::value_type>(in))...}};
}

template <class T, std::size_t... I>
T receive_fields(process::Incoming& in, std::index_sequence<I...>) {
  return T{receive_value<std::remove_const_t<boost::pfr::tuple_element_t<I, T>>>(in)...};
}

template <class T, std::size_t I>
T receive_alternative(process::Incoming& in, std::uint32_t index) {
  if constexpr (I == std::variant_size_v<T>) {
    fail_received("a variant without a value, or of other types");
  } else {
    if (index == I) return T{std::in_place_index<I>, receive_value<std::variant_alternative_t<I, T>>(in)};
    return receive_alternative<T, I + 1>(in, index);
  }
}

}  // namespace detail
}  // namespace weft
