#pragma once

#include <cxxabi.h>

namespace weft::detail {

/// The C++ runtime's per-thread record of exceptions in flight, as libstdc++ and libc++abi lay it out. It belongs to a
/// stack, not to a thread: each fiber keeps its own while it does not run.
struct EhGlobals {
  void* caught = nullptr;
  unsigned int uncaught = 0;
};

/// Only for the thread it was asked on.
inline EhGlobals* thread_eh_globals() noexcept { return reinterpret_cast<EhGlobals*>(abi::__cxa_get_globals()); }

}  // namespace weft::detail
