#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include <weft/base/deadline.hpp>

namespace weft::process {

/// Something that process::wait() can wait for: a Connection, a Listener, the sentinel of a Process, a Socket, an
/// OwnedFd, or a number.
class Waitable {
 public:
  Waitable(int fd) noexcept : fd_{fd} {}
  template <class T>
  requires requires(const T& object) {
    { object.fileno() } -> std::convertible_to<int>;
  }
  Waitable(const T& object) : fd_{object.fileno()} {}
  template <class T>
  requires requires(const T& object) {
    { object.sentinel() } -> std::convertible_to<int>;
  }
  Waitable(const T& object) : fd_{object.sentinel()} {}
  template <class T>
  requires requires(const T& object) {
    { object.fd() } -> std::convertible_to<int>;
  }
  Waitable(const T& object) : fd_{object.fd()} {}
  template <class T>
  requires requires(const T& object) {
    { object.get() } -> std::same_as<int>;
  }
  Waitable(const T& object) : fd_{object.get()} {}

  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

namespace detail {
template <class Range>
concept WaitableRange = !std::convertible_to<Range, std::span<const Waitable>> && requires(Range& range) {
  Waitable{*std::begin(range)};
  std::end(range);
};
}  // namespace detail

/// Waits until at least one of them is ready: a message, a client, the end of a process, or the end of the stream.
/// Returns the places of all that are, in their order; empty: the deadline passed first.
///
/// Semantics:     after Python multiprocessing.connection.wait(), which returns the objects themselves. That something
///                is ready does not mean that a whole message is there. select() takes one ready thing, and runs what
///                belongs to it.
/// Thread-safety: from any thread or fiber. None of the objects may be closed meanwhile.
/// Blocking:      parks the fiber, or the thread when called outside one; a cancellation point.
/// Errors:        OSError: one is closed, or cannot be waited for.
/// Cost:          one system call if something is ready; on a fiber another for each object it has to wait for.
[[nodiscard]] std::vector<std::size_t> wait(std::span<const Waitable> objects, Deadline deadline = {});
[[nodiscard]] inline std::vector<std::size_t> wait(std::initializer_list<Waitable> objects,
                                                   Deadline deadline = {}) {
  return wait(std::span<const Waitable>{objects.begin(), objects.size()}, deadline);
}
template <class Rep, class Period>
[[nodiscard]] std::vector<std::size_t> wait(std::initializer_list<Waitable> objects,
                                            std::chrono::duration<Rep, Period> timeout) {
  return wait(objects, Deadline::after(timeout));
}
template <class Rep, class Period>
[[nodiscard]] std::vector<std::size_t> wait(std::span<const Waitable> objects, std::chrono::duration<Rep, Period> timeout) {
  return wait(objects, Deadline::after(timeout));
}
/// The same for a range of connections, processes or others.
template <detail::WaitableRange Range>
[[nodiscard]] std::vector<std::size_t> wait(Range&& objects, Deadline deadline = {}) {
  std::vector<Waitable> all;
  for (auto&& object : objects) all.emplace_back(object);
  return wait(std::span<const Waitable>{all}, deadline);
}
template <detail::WaitableRange Range, class Rep, class Period>
[[nodiscard]] std::vector<std::size_t> wait(Range&& objects, std::chrono::duration<Rep, Period> timeout) {
  return wait(std::forward<Range>(objects), Deadline::after(timeout));
}

}  // namespace weft::process
