#pragma once

#include <type_traits>

namespace weft::process {

namespace detail {

template <char Code>
struct TypeOfCode {
  using type = void;
  static_assert(Code == 'c', "weft: Python's type codes are c u b B h H i I l L q Q f d; any other type is given as itself: Value<Point>");
};
template <>
struct TypeOfCode<'c'> : std::type_identity<char> {};
template <>
struct TypeOfCode<'u'> : std::type_identity<wchar_t> {};
template <>
struct TypeOfCode<'b'> : std::type_identity<signed char> {};
template <>
struct TypeOfCode<'B'> : std::type_identity<unsigned char> {};
template <>
struct TypeOfCode<'h'> : std::type_identity<short> {};
template <>
struct TypeOfCode<'H'> : std::type_identity<unsigned short> {};
template <>
struct TypeOfCode<'i'> : std::type_identity<int> {};
template <>
struct TypeOfCode<'I'> : std::type_identity<unsigned int> {};
template <>
struct TypeOfCode<'l'> : std::type_identity<long> {};
template <>
struct TypeOfCode<'L'> : std::type_identity<unsigned long> {};
template <>
struct TypeOfCode<'q'> : std::type_identity<long long> {};
template <>
struct TypeOfCode<'Q'> : std::type_identity<unsigned long long> {};
template <>
struct TypeOfCode<'f'> : std::type_identity<float> {};
template <>
struct TypeOfCode<'d'> : std::type_identity<double> {};

}  // namespace detail

/// The type that Python's multiprocessing.Value and Array know by this letter: Value<ctype<'i'>> is Value<int>.
template <char Code>
using ctype = typename detail::TypeOfCode<Code>::type;

}  // namespace weft::process
