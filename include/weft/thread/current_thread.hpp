#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <weft/thread/thread.hpp>

namespace weft {

/// Which threads there are. weft's own helper threads are never among them.
///
/// Semantics:     after the functions of Python threading. A thread that weft did not start is represented, from its
///                first call of current_thread() to its end, by a stand-in named "Dummy-1" and so on. In a fiber,
///                whichever thread it runs on, current_thread() is a stand-in named "DummyThread-" and the number of
///                the fiber; it is in no list. Stand-ins are alive and daemons, and can be neither joined nor killed.
///                In a child of fork() the thread that called it is the main thread, and the only one.
/// Thread-safety: from anywhere. Blocking: never.

/// The caller's own thread.
[[nodiscard]] Thread current_thread();

/// The one that runs main(). Its end is when main() returns or calls exit().
[[nodiscard]] Thread main_thread();

/// All that have been started and have not ended, the main thread and stand-ins too; as of a moment ago.
[[nodiscard]] std::vector<Thread> enumerate();
/// How many those are.
[[nodiscard]] std::size_t active_count();

/// current_thread().ident(), without the handle: a fiber's own number in a fiber.
[[nodiscard]] std::uint64_t get_ident() noexcept;
/// The kernel's number of the thread that runs the caller: fibers change it when they change workers.
[[nodiscard]] int get_native_id() noexcept;

}  // namespace weft
