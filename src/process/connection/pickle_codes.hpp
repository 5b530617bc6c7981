#pragma once

#include <string_view>

namespace weft::process::detail {

/// The opcodes that basic values need, by the names of CPython's pickletools.
enum class Code : unsigned char {
  Mark = '(', Stop = '.', Pop = '0', PopMark = '1', Dup = '2',
  // Protocol 0: text, up to the end of the line.
  Float = 'F', Int = 'I', Long = 'L', Unicode = 'V', Get = 'g', Put = 'p', Dict = 'd', List = 'l',
  BinFloat = 'G', BinInt = 'J', BinInt1 = 'K', BinInt2 = 'M', None = 'N',
  BinUnicode = 'X', Append = 'a', Appends = 'e', BinGet = 'h', LongBinGet = 'j', BinPut = 'q', LongBinPut = 'r', SetItem = 's',
  SetItems = 'u', Tuple = 't', EmptyTuple = ')', EmptyList = ']', EmptyDict = '}',
  Global = 'c', Reduce = 'R',
  // Protocol 2.
  Proto = 0x80, Tuple1 = 0x85, Tuple2 = 0x86, Tuple3 = 0x87, NewTrue = 0x88, NewFalse = 0x89, Long1 = 0x8a, Long4 = 0x8b,
  // Protocol 3.
  BinBytes = 'B', ShortBinBytes = 'C',
  // Protocol 4.
  ShortBinUnicode = 0x8c, BinUnicode8 = 0x8d, BinBytes8 = 0x8e, EmptySet = 0x8f, AddItems = 0x90, FrozenSet = 0x91,
  StackGlobal = 0x93, Memoize = 0x94, Frame = 0x95,
  // Protocol 5.
  ByteArray8 = 0x96
};

/// Whether it is UTF-8 as Python writes it here: lone surrogates count as any other character.
[[nodiscard]] bool is_python_utf8(std::string_view text) noexcept;

}  // namespace weft::process::detail
