#pragma once

#include <type_traits>
#include <utility>

#include <weft/detail/send_kind.hpp>

/// Refuses what cannot be sent to another process with a message that names the part and the cure. The compiler prints the type in
/// the line that leads to the message: "In instantiation of ... require_sendable() [with T = ...]".

namespace weft::detail {

template <class T>
concept ViewLike = requires {
  typename T::value_type;
  typename T::size_type;
  std::declval<const T&>().begin();
} && !requires { typename T::allocator_type; } && std::is_trivially_copyable_v<T>;

template <class T>
concept SmartPointerLike = requires(const T& pointer) {
  typename T::element_type;
  pointer.get();
  static_cast<bool>(pointer);
};

template <class T>
consteval void require_sendable();

template <class T>
consteval void explain_not_sendable() {
  if constexpr (std::is_pointer_v<T> || std::is_null_pointer_v<T>) {
    static_assert(!std::is_pointer_v<T> && !std::is_null_pointer_v<T>,
                  "weft: a pointer cannot be sent to another process, where it would point to something else: send the value itself, a "
                  "std::vector or std::string of what it points to, or share the memory by weft::process::SharedMemory, Value or Array");
  } else if constexpr (std::is_member_pointer_v<T>) {
    static_assert(!std::is_member_pointer_v<T>,
                  "weft: a pointer to a member cannot be sent to another process: send a captureless lambda that calls or reads the member");
  } else if constexpr (std::is_reference_v<T>) {
    static_assert(!std::is_reference_v<T>, "weft: a reference cannot be sent to another process: send the value itself");
  } else if constexpr (std::is_array_v<T>) {
    static_assert(!std::is_array_v<T>, "weft: a C array cannot be sent to another process: use std::array, std::vector or std::string");
  } else if constexpr (std::is_union_v<T>) {
    static_assert(!std::is_union_v<T>, "weft: a union cannot be sent to another process, since nobody knows what it holds: use std::variant");
  } else if constexpr (SmartPointerLike<T>) {
    static_assert(!SmartPointerLike<T>,
                  "weft: a smart pointer cannot be sent to another process: send the value it owns (std::optional, if it may be missing)");
  } else if constexpr ((PathLike<T> || SendableContainer<T>)&&AddsToContents<T>) {
    static_assert(!AddsToContents<T>,
                  "weft: a class that derives from a container or a path cannot be sent to another process as it is, since what it adds would be "
                  "lost: make the base a field, or give it serialize(archive)");
  } else if constexpr (SendableContainer<T> && HasStatefulOrder<T>) {
    static_assert(!HasStatefulOrder<T>,
                  "weft: a container whose comparator or hash holds something cannot be sent to another process, which would make another one: "
                  "use one without state, or send a std::vector of the elements");
  } else if constexpr (own::Misfits<T> && !SendsItself<T>) {
    static_assert(!own::Misfits<T>,
                  "weft: this type has a serialize, save or load, but not as they are called: serialize(archive&), or save(archive&) const with "
                  "load(archive&), for weft::process::Outgoing and weft::process::Incoming");
  } else if constexpr (ViewLike<T>) {
    static_assert(!ViewLike<T>,
                  "weft: a view cannot be sent to another process, since it owns nothing: send a std::string or std::vector");
  } else if constexpr (SendsItself<T>) {
    static_assert(!SendsItself<T>,
                  "weft: a type with its own serialize or load must be default-constructible to be received in another process: give it a "
                  "default constructor, or specialize weft::process::Transfer for it");
  } else if constexpr (std::is_aggregate_v<T> && HasBase<T>) {
    static_assert(!HasBase<T>,
                  "weft: an aggregate with a base class cannot be sent to another process as it is: give it serialize(archive), or make "
                  "the base a field");
  } else if constexpr (std::is_aggregate_v<T> && has_array<T>()) {
    static_assert(!has_array<T>(),
                  "weft: an aggregate with a C array cannot be sent to another process as it is: make the array a std::array, or give the "
                  "type serialize(archive)");
  } else if constexpr (std::is_aggregate_v<T>) {
    static_assert(!std::is_aggregate_v<T>,
                  "weft: an aggregate of more than 100 fields cannot be sent to another process as it is: give it serialize(archive)");
  } else if constexpr (std::is_polymorphic_v<T>) {
    static_assert(!std::is_polymorphic_v<T>,
                  "weft: an object of a polymorphic class cannot be sent to another process as it is: give the class serialize(archive), or "
                  "save(archive) const and load(archive)");
  } else {
    static_assert(!std::is_same_v<T, T>,
                  "weft: this type cannot be sent to another process: a closure with captures (pass what it captures as arguments, or start the "
                  "process by weft::fork), a std::function (pass a function or a captureless lambda), something that belongs to this "
                  "process alone (a thread, a weft::Lock, a stream: use what weft::process has), or a class that must say how: give it "
                  "serialize(archive), or save(archive) const and load(archive)");
  }
}

template <class T, std::size_t... I>
consteval void require_parts(std::index_sequence<I...>) {
  (require_sendable<std::remove_const_t<std::tuple_element_t<I, T>>>(), ...);
}
template <class T, std::size_t... I>
consteval void require_alternatives(std::index_sequence<I...>) {
  (require_sendable<std::variant_alternative_t<I, T>>(), ...);
}
template <class T, std::size_t... I>
consteval void require_fields(std::index_sequence<I...>) {
  (require_sendable<std::remove_const_t<boost::pfr::tuple_element_t<I, T>>>(), ...);
}

/// Does not compile unless T can be sent; goes down to the part that cannot.
template <class T>
consteval void require_sendable() {
  if constexpr (!sendable<T>) {
    constexpr SendKind kKind = send_kind<T>();
    if constexpr (kKind == SendKind::Not) {
      explain_not_sendable<T>();
    } else if constexpr (kKind == SendKind::Tuple) {
      require_parts<T>(std::make_index_sequence<std::tuple_size_v<T>>{});
    } else if constexpr (kKind == SendKind::Variant) {
      require_alternatives<T>(std::make_index_sequence<std::variant_size_v<T>>{});
    } else if constexpr (kKind == SendKind::Aggregate) {
      require_fields<T>(std::make_index_sequence<boost::pfr::tuple_size_v<T>>{});
    } else {
      require_sendable<plain_pair<std::remove_const_t<typename T::value_type>>>();
    }
  }
}

}  // namespace weft::detail
