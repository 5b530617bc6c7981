#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <typeinfo>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/label.hpp>
#include <weft/base/owned_fd.hpp>
#include <weft/detail/queue_core.hpp>
#include <weft/detail/byte_queue.hpp>
#include <weft/detail/shared_queue_cases.hpp>
#include <weft/process/sendable.hpp>

namespace weft::process::detail {

[[noreturn]] void fail_descriptors_in_queue(const char* name);
[[noreturn]] void fail_closed_queue(const char* operation);
[[noreturn]] void fail_rest_in_queue(const char* name, std::size_t bytes);

void send_queue_file(Outgoing& out, int file);
[[nodiscard]] OwnedFd receive_queue_file(Incoming& in);

/// Tells queues of different kinds and items apart where one is received.
[[nodiscard]] std::uint64_t queue_type(char kind, std::string_view item) noexcept;

// Items are made into bytes before, and into values after the queue is locked: code of theirs may do anything, and fail.
template <class T>
void write_item(Outgoing& out, const T& item, const ByteQueue& queue) {
  out(item);
  if (!out.descriptors().empty()) fail_descriptors_in_queue(queue.name());
}
template <class T>
T value_of(const ItemRoom& item, const ByteQueue& queue) {
  Incoming in{item.bytes()};
  T value = in.receive<T>();
  if (in.remaining() != 0) fail_rest_in_queue(queue.name(), in.remaining());
  return value;
}

/// What process::Queue, SimpleQueue and JoinableQueue offer alike. For its promises see Queue.
template <class T>
class QueueHandle {
 public:
  /// Waits for an item. Throws: ShutDown when none will come.
  T get() {
    std::optional<T> item = take("get from", Deadline::never(), MayWait::Yes);
    if (!item) weft::detail::throw_queue_shut_down("get from");
    return std::move(*item);
  }
  /// Nothing: no item, now or in time, or none will come; or, after 0.1 s, a process that was stopped in the middle of a get keeps all others
  /// from it.
  [[nodiscard]] std::optional<T> try_get() { return take("get from", Deadline::already(), MayWait::No); }
  template <class Rep, class Period>
  [[nodiscard]] std::optional<T> get_for(std::chrono::duration<Rep, Period> timeout) {
    return get_until(Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] std::optional<T> get_until(std::chrono::time_point<AnyClock, AnyDuration> point) {
    return get_until(Deadline::at(point));
  }
  [[nodiscard]] std::optional<T> get_until(Deadline deadline) {
    return take("get from", deadline, MayWait::Yes);
  }

  /// A case of select(): takes an item if chosen, and calls callable(item). A queue that is shut down and empty is
  /// ready, too: select() then throws ShutDown, or calls `at_end()` if there is one. This handle stays open meanwhile.
  template <class... Callables>
  [[nodiscard]] auto on_get(Callables... callable_and_at_end) const {
    return SharedGetCase<T, weft::detail::Callables<Callables...>>{{std::move(callable_and_at_end)...}, bytes("select to get from")};
  }

  /// A moment's truth, both.
  [[nodiscard]] std::size_t qsize() const { return bytes("look into").size(); }
  [[nodiscard]] bool empty() const { return qsize() == 0; }
  /// As given where it was made, cut to 63 characters in other processes; null: none.
  [[nodiscard]] const char* name() const { return bytes("look into").name(); }

  /// Gives this handle up, as its end does. Items, other handles and other processes are not concerned; further calls
  /// through this one throw InvalidStateError.
  void close() noexcept { bytes_.reset(); }

 protected:
  using MayWait = ByteQueue::MayWait;

  QueueHandle(char kind, std::size_t maxsize, Label label)
      : bytes_{std::make_shared<ByteQueue>(maxsize, type(kind), label)} {}
  QueueHandle(char kind, Incoming& in)
      : bytes_{std::make_shared<ByteQueue>(receive_queue_file(in), type(kind))} {}
  ~QueueHandle() = default;
  QueueHandle(const QueueHandle&) = default;
  QueueHandle(QueueHandle&&) noexcept = default;
  QueueHandle& operator=(const QueueHandle&) = default;
  QueueHandle& operator=(QueueHandle&&) noexcept = default;

  bool put_item(const T& item, Deadline deadline, MayWait may_wait) {
    ByteQueue& queue = bytes("put into");
    alignas(std::max_align_t) std::byte room[kRoom];
    Outgoing out{room};
    write_item(out, item, queue);
    return queue.put(out.bytes(), deadline, may_wait);
  }

  [[nodiscard]] ByteQueue& bytes(const char* operation) const {
    if (!bytes_) [[unlikely]]
      fail_closed_queue(operation);
    return *bytes_;
  }

  void send_to(Outgoing& out) const { send_queue_file(out, bytes("send").file()); }

 private:
  static constexpr std::size_t kRoom = 512;

  [[nodiscard]] static std::uint64_t type(char kind) noexcept { return queue_type(kind, typeid(T).name()); }

  std::optional<T> take(const char* operation, Deadline deadline, MayWait may_wait) {
    ByteQueue& queue = bytes(operation);
    alignas(std::max_align_t) std::byte room[kRoom];
    ItemRoom item{room};
    if (!queue.get(item, deadline, may_wait)) return std::nullopt;
    return value_of<T>(item, queue);
  }

  std::shared_ptr<ByteQueue> bytes_;
};

/// What Queue and JoinableQueue offer beside that: a bound, and an end.
template <class T>
class BoundedQueueHandle : public QueueHandle<T> {
  using typename QueueHandle<T>::MayWait;

 public:
  /// Waits for room. Throws: ShutDown.
  void put(const T& item) { (void)this->put_item(item, Deadline::never(), MayWait::Yes); }
  /// False: no room, now or in time. Throws: ShutDown.
  [[nodiscard]] bool try_put(const T& item) { return this->put_item(item, Deadline::already(), MayWait::No); }
  template <class Rep, class Period>
  [[nodiscard]] bool put_for(const T& item, std::chrono::duration<Rep, Period> timeout) {
    return put_until(item, Deadline::after(timeout));
  }
  template <class AnyClock, class AnyDuration>
  [[nodiscard]] bool put_until(const T& item, std::chrono::time_point<AnyClock, AnyDuration> point) {
    return put_until(item, Deadline::at(point));
  }
  [[nodiscard]] bool put_until(const T& item, Deadline deadline) {
    return this->put_item(item, deadline, MayWait::Yes);
  }

  /// A case of select(): puts the item, which is made into bytes here, if chosen, and calls callable(). A queue that is
  /// shut down is ready, too: select() then throws ShutDown, or calls `at_end()` if there is one.
  template <class... Callables>
  [[nodiscard]] auto on_put(const T& item, Callables... callable_and_at_end) const {
    return SharedPutCase<T, weft::detail::Callables<Callables...>>{
        {std::move(callable_and_at_end)...}, this->bytes("select to put into"), item};
  }

  /// A moment's truth.
  [[nodiscard]] bool full() const { return maxsize() != 0 && this->qsize() >= maxsize(); }
  [[nodiscard]] std::size_t maxsize() const { return this->bytes("look into").maxsize(); }

  /// No further put, by any process. Gentle: items that are in the queue may still be taken. Immediate: they are
  /// dropped, and count as done.
  void shutdown(bool immediate = false) { this->bytes("shut down").shutdown(immediate); }
  [[nodiscard]] bool is_shut_down() const { return this->bytes("look into").is_shut_down(); }

 protected:
  using QueueHandle<T>::QueueHandle;
  ~BoundedQueueHandle() = default;
  BoundedQueueHandle(const BoundedQueueHandle&) = default;
  BoundedQueueHandle(BoundedQueueHandle&&) noexcept = default;
  BoundedQueueHandle& operator=(const BoundedQueueHandle&) = default;
  BoundedQueueHandle& operator=(BoundedQueueHandle&&) noexcept = default;
};

}  // namespace weft::process::detail
