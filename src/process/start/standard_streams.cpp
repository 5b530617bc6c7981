#include "process/start/standard_streams.hpp"

#include <stdio_ext.h>

#include <cstdio>
#include <iostream>
#include <streambuf>

namespace weft::detail {

namespace {

/// Those of the library's own. With them a stream holds what is in its buffer, or in C's stream behind it, and nothing else; one of the
/// program's making may keep more than it shows.
const std::streambuf* const buffers_at_begin[] = {std::cout.rdbuf(), std::cerr.rdbuf(), std::clog.rdbuf()};

struct Seen : std::streambuf {
  static bool holds_any(const std::streambuf& buffer) noexcept {
    return (buffer.*&Seen::pptr)() != (buffer.*&Seen::pbase)();  // for derived classes only
  }
};

void flush(std::ostream& stream, const std::streambuf* at_begin) noexcept {
  const std::streambuf* const buffer = stream.rdbuf();
  if (!buffer || buffer != at_begin || Seen::holds_any(*buffer)) stream.flush();
}

void flush(std::FILE* stream) noexcept {
  if (::__fpending(stream) != 0) std::fflush(stream);
}

}  // namespace

void flush_standard_ostreams() noexcept {
  flush(std::cout, buffers_at_begin[0]);
  flush(std::cerr, buffers_at_begin[1]);
  flush(std::clog, buffers_at_begin[2]);
}

void flush_standard_streams() noexcept {
  flush_standard_ostreams();
  flush(stdout);
  flush(stderr);
}

}  // namespace weft::detail
