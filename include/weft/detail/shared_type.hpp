#pragma once

#include <array>
#include <concepts>
#include <boost/pfr/core.hpp>
#include <cstddef>
#include <span>  // and with it what std::ranges takes for a view
#include <type_traits>
#include <utility>

#include <weft/detail/send_kind.hpp>

/// What may lie in memory that several processes see: bytes that mean the same in each of them.

namespace weft::detail {

template <class T>
consteval void require_shareable();

template <class T>
concept ReferenceWrapperLike = requires(const T& wrapper) {
  typename T::type;
  { wrapper.get() } -> std::same_as<typename T::type&>;
};

template <class T, std::size_t... I>
consteval void require_shareable_alternatives(std::index_sequence<I...>) {
  (require_shareable<std::variant_alternative_t<I, T>>(), ...);
}

template <class T, std::size_t... I>
consteval void require_shareable_fields(std::index_sequence<I...>) {
  (require_shareable<boost::pfr::tuple_element_t<I, T>>(), ...);
}

/// Does not compile for a type that cannot be shared; "with T =" in the message is the part that is to blame. Looks into arrays and
/// into aggregates that Boost.PFR can take apart.
template <class T>
consteval void require_shareable() {
  static_assert(std::is_object_v<T>, "weft: only objects can lie in shared memory, no references, functions or void");
  static_assert(!std::is_pointer_v<T> && !std::is_member_pointer_v<T> && !std::is_null_pointer_v<T>,
                "weft: a pointer in shared memory means nothing to another process: keep an index or an offset instead");
  static_assert(std::is_trivially_copyable_v<T> || !std::is_object_v<T>,
                "weft: only trivially copyable types can lie in shared memory: instead of a string or a container use std::array or a "
                "process::Array, or send it through a process::Queue");
  if constexpr (std::is_array_v<T>) {
    require_shareable<std::remove_all_extents_t<T>>();
  } else if constexpr (is_array<T> || is_optional<T>) {
    require_shareable<typename T::value_type>();
  } else if constexpr (is_variant<T>) {
    require_shareable_alternatives<T>(std::make_index_sequence<std::variant_size_v<T>>{});
  } else if constexpr (std::ranges::enable_view<T> || ReferenceWrapperLike<T>) {
    static_assert(!std::ranges::enable_view<T> && !ReferenceWrapperLike<T>,
                  "weft: a view or reference in shared memory points to something that another process does not have: keep the elements "
                  "themselves there, by std::array or a process::Array");
  } else if constexpr (std::is_trivially_copyable_v<T> && PlainAggregate<T>) {
    if constexpr (initializers<T>() <= kMostFields) require_shareable_fields<T>(std::make_index_sequence<boost::pfr::tuple_size_v<T>>{});
  }
}

}  // namespace weft::detail
