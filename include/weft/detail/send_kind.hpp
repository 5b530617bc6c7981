#pragma once

#include <array>
#include <boost/pfr/core.hpp>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <weft/detail/own_serialize.hpp>
#include <weft/process/parcel.hpp>

/// How a type is sent to another process, decided as it is compiled. <weft/process/sendable.hpp> says what may be sent.

namespace weft::detail {

enum class SendKind {
  Transfer,     // by process::Transfer<T>
  Own,          // by the type's own serialize, or save and load
  Bytes,        // as it stands in memory
  LooseBytes,   // the same, but not several at once: some values are none (bool), or there is padding (long double)
  Function,     // module and offset
  Empty,        // one byte, so that nothing is of no size
  Sequence,     // count and elements
  Association,  // the same, for what has keys
  Tuple,        // its parts
  Array,        // std::array of what does not go as bytes
  Optional,
  Variant,
  Duration,
  TimePoint,
  Complex,
  Bitset,
  Path,
  Aggregate,  // its fields
  Not,
};

constexpr std::size_t kMostFields = 100;  // what Boost.PFR can take apart

template <class T>
concept HasTransfer = requires(process::Outgoing& out, const T& value, process::Incoming& in) {
  process::Transfer<T>::send(out, value);
  { process::Transfer<T>::receive(in) } -> std::same_as<T>;
};

// --- standard types, told by their shape, so that their headers need not be included here ---

template <class T>
inline constexpr bool is_array = false;
template <class T, std::size_t N>
inline constexpr bool is_array<std::array<T, N>> = true;
template <class T>
inline constexpr bool is_tuple = false;
template <class... T>
inline constexpr bool is_tuple<std::tuple<T...>> = true;
template <class T, class U>
inline constexpr bool is_tuple<std::pair<T, U>> = true;
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_variant = false;
template <class... T>
inline constexpr bool is_variant<std::variant<T...>> = true;
template <class T>
inline constexpr bool is_duration = false;
template <class R, class P>
inline constexpr bool is_duration<std::chrono::duration<R, P>> = true;
template <class T>
inline constexpr bool is_time_point = false;
template <class C, class D>
inline constexpr bool is_time_point<std::chrono::time_point<C, D>> = true;
template <class T>
concept ComplexLike = requires(const T& value, typename T::value_type part) {
  T{part, part};
  { value.real() } -> std::same_as<typename T::value_type>;
  { value.imag() } -> std::same_as<typename T::value_type>;
};
template <class T>
concept BitsetLike = std::is_trivially_copyable_v<T> && requires(const T& bits) {
  typename T::reference;
  bits.to_ullong();
  bits.to_string();
  bits.test(0);
};

/// A container: it owns its elements, and can be filled.
template <class T>
concept SendableContainer = std::default_initializable<T> && requires(T& container) {
  typename T::value_type;
  typename T::allocator_type;
  container.begin() == container.end();
  container.clear();
};
template <class T>
concept Contiguous = requires(T& container) {
  { container.data() } -> std::same_as<typename T::value_type*>;
  container.resize(container.size());
};

template <class T>
concept PathLike = requires(const T& path) {
  typename T::string_type;
  { path.native() } -> std::same_as<const typename T::string_type&>;
  path.lexically_normal();
};

template <class Member>
struct ClassOfMember {
  using type = std::array<char, PTRDIFF_MAX>;  // unknown: nothing is larger
};
template <class R, class C>
struct ClassOfMember<R (C::*)()> {
  using type = C;
};
template <class R, class C>
struct ClassOfMember<R (C::*)() noexcept> {
  using type = C;
};
template <class T>
inline constexpr bool is_vector_or_string = false;
template <class T, class A>
inline constexpr bool is_vector_or_string<std::vector<T, A>> = true;
template <class C, class T, class A>
inline constexpr bool is_vector_or_string<std::basic_string<C, T, A>> = true;
/// A container or path by its base class, to which it adds members, which would be lost. Not those of other libraries, whose bases are parts
/// of themselves.
template <class T, class Base>
concept AddsTo = sizeof(T) > sizeof(Base) && (std::is_aggregate_v<T> || is_vector_or_string<Base> || PathLike<Base>);
template <class T>
concept AddsToContents = requires { &T::clear; } && AddsTo<T, typename ClassOfMember<decltype(&T::clear)>::type>;
/// The receiver's order or hash would be another one.
template <class T>
concept HasStatefulOrder = (requires { typename T::key_compare; } && !std::is_empty_v<typename T::key_compare>) ||
                           (requires { typename T::hasher; } &&
                            (!std::is_empty_v<typename T::hasher> || !std::is_empty_v<typename T::key_equal>));

template <class T>
struct PlainPairOf {
  using type = T;
};
template <class K, class V>
struct PlainPairOf<std::pair<const K, V>> {
  using type = std::pair<K, V>;
};
/// What a map holds, but movable.
template <class T>
using plain_pair = typename PlainPairOf<T>::type;

// --- aggregates ---

/// Converts to whatever a field is.
struct AnyField {
  template <class T>
  operator T() const;
};
template <class T>
struct AnyBaseOf {
  template <class Base>
    requires(std::is_base_of_v<Base, T> && !std::is_same_v<Base, T>)
  operator Base() const;
};
template <class T>
concept HasBase = requires { T{AnyBaseOf<T>{}}; };

template <std::size_t>
using AnyFieldAt = AnyField;
template <class T, std::size_t... I>
consteval bool takes(std::index_sequence<I...>) {
  return requires { T{AnyFieldAt<I>{}...}; };
}
/// How many initializers T takes; one more than it can have fields, when there are too many.
template <class T, std::size_t N = kMostFields + 1>
consteval std::size_t initializers() {
  if constexpr (takes<T>(std::make_index_sequence<N>{})) {
    return N;
  } else if constexpr (N == 0) {
    return 0;
  } else {
    return initializers<T, N - 1>();
  }
}
template <class T, std::size_t... Before, std::size_t... After>
consteval bool takes_pair_between(std::index_sequence<Before...>, std::index_sequence<After...>) {
  constexpr bool kAsOne = requires { T{AnyFieldAt<Before>{}..., {}, AnyFieldAt<After>{}...}; } ||
                          requires { T{AnyFieldAt<Before>{}..., {AnyField{}}, AnyFieldAt<After>{}...}; };
  return !kAsOne && requires { T{AnyFieldAt<Before>{}..., {AnyField{}, AnyField{}}}; };
}
/// Whether a field is a C array: it takes several initializers in braces, and as many fewer are left for the others.
template <class T, std::size_t I = 0>
consteval bool has_array() {
  constexpr std::size_t kCount = initializers<T>();
  if constexpr (I >= kCount) {
    return false;
  } else if constexpr (takes_pair_between<T>(std::make_index_sequence<I>{}, std::make_index_sequence<kCount - I - 1>{})) {
    return true;
  } else {
    return has_array<T, I + 1>();
  }
}

/// What Boost.PFR can take apart, the number of fields aside.
template <class T>
concept PlainAggregate = std::is_class_v<T> && std::is_aggregate_v<T> && !HasBase<T> && !has_array<T>();

// --- the decision ---

template <class T>
consteval bool goes_as_bytes();
/// Whether several of them go as they stand in memory: every pattern of bits is a value, and there is no padding.
template <class T>
inline constexpr bool sent_as_bytes = goes_as_bytes<T>();

template <class T>
consteval SendKind send_kind() {
  if constexpr (!std::is_object_v<T> || std::is_const_v<T> || std::is_volatile_v<T>) {
    return SendKind::Not;
  } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, long double>) {
    return SendKind::LooseBytes;
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
    return SendKind::Bytes;
  } else if constexpr (std::is_pointer_v<T>) {
    return std::is_function_v<std::remove_pointer_t<T>> ? SendKind::Function : SendKind::Not;
  } else if constexpr (!std::is_class_v<T>) {
    return SendKind::Not;
  } else if constexpr (HasTransfer<T>) {
    return SendKind::Transfer;
  } else if constexpr (SendsItself<T>) {
    return std::default_initializable<T> ? SendKind::Own : SendKind::Not;
  } else if constexpr (std::is_empty_v<T>) {
    return std::default_initializable<T> && std::is_trivially_copyable_v<T> ? SendKind::Empty : SendKind::Not;
  } else if constexpr (is_array<T>) {
    return sent_as_bytes<T> ? SendKind::Bytes : SendKind::Array;
  } else if constexpr (is_tuple<T>) {
    return SendKind::Tuple;
  } else if constexpr (is_optional<T>) {
    return SendKind::Optional;
  } else if constexpr (is_variant<T>) {
    return SendKind::Variant;
  } else if constexpr (is_duration<T>) {
    return SendKind::Duration;
  } else if constexpr (is_time_point<T>) {
    return SendKind::TimePoint;
  } else if constexpr (ComplexLike<T>) {
    return SendKind::Complex;
  } else if constexpr (BitsetLike<T>) {
    return SendKind::Bitset;
  } else if constexpr (PathLike<T>) {
    return AddsToContents<T> ? SendKind::Not : SendKind::Path;
  } else if constexpr (SendableContainer<T>) {
    if constexpr (AddsToContents<T> || HasStatefulOrder<T>) return SendKind::Not;
    return requires { typename T::key_type; } ? SendKind::Association : SendKind::Sequence;
  } else if constexpr (PlainAggregate<T>) {
    if constexpr (own::Misfits<T> || initializers<T>() > kMostFields) {
      return SendKind::Not;
    } else {
      return SendKind::Aggregate;
    }
  } else {
    return SendKind::Not;
  }
}

template <class T, std::size_t... I>
consteval bool fields_go_as_bytes(std::index_sequence<I...>) {
  return (sent_as_bytes<boost::pfr::tuple_element_t<I, T>> && ...) && (sizeof(boost::pfr::tuple_element_t<I, T>) + ... + 0) == sizeof(T);
}

template <class T>
consteval bool goes_as_bytes() {
  if constexpr (!std::is_trivially_copyable_v<T>) {
    return false;
  } else if constexpr (is_array<T>) {
    if constexpr (std::is_empty_v<T>) {
      return false;
    } else {
      return sent_as_bytes<typename T::value_type>;
    }
  } else if constexpr (send_kind<T>() == SendKind::Aggregate) {
    return fields_go_as_bytes<T>(std::make_index_sequence<boost::pfr::tuple_size_v<T>>{});
  } else {
    return send_kind<T>() == SendKind::Bytes;
  }
}

// --- whether all of it can be sent ---

template <class T>
consteval bool can_be_sent();
template <class T>
inline constexpr bool sendable = can_be_sent<T>();

template <class T, std::size_t... I>
consteval bool parts_can_be_sent(std::index_sequence<I...>) {
  return (sendable<std::remove_const_t<std::tuple_element_t<I, T>>> && ...);
}
template <class T, std::size_t... I>
consteval bool alternatives_can_be_sent(std::index_sequence<I...>) {
  return (sendable<std::variant_alternative_t<I, T>> && ...);
}
template <class T, std::size_t... I>
consteval bool fields_can_be_sent(std::index_sequence<I...>) {
  return (sendable<std::remove_const_t<boost::pfr::tuple_element_t<I, T>>> && ...);
}

template <class T>
consteval bool can_be_sent() {
  constexpr SendKind kKind = send_kind<T>();
  if constexpr (kKind == SendKind::Not) {
    return false;
  } else if constexpr (kKind == SendKind::Sequence) {
    return sendable<typename T::value_type>;
  } else if constexpr (kKind == SendKind::Association) {
    using Element = plain_pair<std::remove_const_t<typename T::value_type>>;
    return sendable<Element>;
  } else if constexpr (kKind == SendKind::Tuple) {
    return parts_can_be_sent<T>(std::make_index_sequence<std::tuple_size_v<T>>{});
  } else if constexpr (kKind == SendKind::Array || kKind == SendKind::Optional) {
    return sendable<typename T::value_type>;
  } else if constexpr (kKind == SendKind::Variant) {
    return alternatives_can_be_sent<T>(std::make_index_sequence<std::variant_size_v<T>>{});
  } else if constexpr (kKind == SendKind::Aggregate) {
    return fields_can_be_sent<T>(std::make_index_sequence<boost::pfr::tuple_size_v<T>>{});
  } else {
    return true;
  }
}

}  // namespace weft::detail
