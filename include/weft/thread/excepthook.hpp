#pragma once

#include <exception>

#include <weft/base/unique_function.hpp>
#include <weft/thread/thread.hpp>

namespace weft {

/// What an except hook is told: which thread ended, and with what.
struct ExceptHookArgs {
  const Thread& thread;
  std::exception_ptr exception;
};

using ExceptHook = UniqueFunction<void(const ExceptHookArgs&)>;

/// Replaces what is called, in the thread itself, when an exception leaves it; an empty hook brings the first one back.
/// Cancelled is no such exception: it is how a thread ends that was killed.
///
/// Semantics:     after Python threading.excepthook. The thread is still alive meanwhile, and can be killed no more.
///                What the hook throws is reported on stderr, together with what it was called for.
/// Thread-safety: from anywhere. The hook is called by as many threads at once as end so; one that is replaced
///                meanwhile may be called a last time, and is destroyed after that.
void set_excepthook(ExceptHook hook);

/// The first one: writes `weft: thread "NAME" ended with TYPE: TEXT` to stderr, in one piece.
void default_excepthook(const ExceptHookArgs& args) noexcept;

}  // namespace weft
