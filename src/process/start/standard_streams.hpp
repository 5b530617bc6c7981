#pragma once

namespace weft::detail {

/// What C and C++ have buffered for the standard streams; what a stream of the program's own holds stays. Streams that hold nothing are
/// not touched: in a child of fork(), and in its parent, each page that is written to must be copied first.
void flush_standard_streams() noexcept;

/// The same of the standard streams of C++, to go on with those of C.
void flush_standard_ostreams() noexcept;

}  // namespace weft::detail
