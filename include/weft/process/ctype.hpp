#pragma once

namespace weft::process {

namespace detail {

template <char Code>
struct TypeOfCode {
  using type = void;
  static_assert(Code == 'c', "weft: Python's type codes are c u b B h H i I l L q Q f d; any other type is given as itself: Value<Point>");
};
template <>
struct TypeOfCode<'c'> {
  using type = char;
};
template <>
struct TypeOfCode<'u'> {
  using type = wchar_t;
};
template <>
struct TypeOfCode<'b'> {
  using type = signed char;
};
template <>
struct TypeOfCode<'B'> {
  using type = unsigned char;
};
template <>
struct TypeOfCode<'h'> {
  using type = short;
};
template <>
struct TypeOfCode<'H'> {
  using type = unsigned short;
};
template <>
struct TypeOfCode<'i'> {
  using type = int;
};
template <>
struct TypeOfCode<'I'> {
  using type = unsigned int;
};
template <>
struct TypeOfCode<'l'> {
  using type = long;
};
template <>
struct TypeOfCode<'L'> {
  using type = unsigned long;
};
template <>
struct TypeOfCode<'q'> {
  using type = long long;
};
template <>
struct TypeOfCode<'Q'> {
  using type = unsigned long long;
};
template <>
struct TypeOfCode<'f'> {
  using type = float;
};
template <>
struct TypeOfCode<'d'> {
  using type = double;
};

}  // namespace detail

/// The type that Python's multiprocessing.Value and Array know by this letter: Value<ctype<'i'>> is Value<int>.
template <char Code>
using ctype = typename detail::TypeOfCode<Code>::type;

}  // namespace weft::process
