#pragma once

// What select() waits for at a queue between processes.

#include <cstddef>
#include <utility>

#include <weft/detail/byte_queue.hpp>
#include <weft/detail/queue_cases.hpp>
#include <weft/detail/shared_way.hpp>
#include <weft/process/parcel.hpp>

namespace weft::process::detail {

/// What both ends of a queue have in common.
class ByteWay : public SharedWay {
 protected:
  explicit ByteWay(ByteQueue& queue) noexcept : queue_{queue} {}

  /// Whether the wait is over: an item has gone through, or the queue has ended.
  bool is_over(ByteQueue::Attempt attempt) noexcept {
    ended_ = attempt == ByteQueue::Attempt::Ended;
    return ended_ || attempt == ByteQueue::Attempt::Done;
  }

  ByteQueue& queue_;
  bool ended_ = false;
  alignas(std::max_align_t) std::byte room_[512];
};

/// An item of a queue, as bytes.
class ByteGetWay : public ByteWay {
 protected:
  explicit ByteGetWay(ByteQueue& queue) noexcept : ByteWay{queue} {}

  ItemRoom item_{room_};

 private:
  bool take(bool slept) final;
  bool expect(SharedWaiter& waiter) noexcept final { return queue_.expect_item(waiter); }
  void leave(bool told) noexcept final { queue_.leave_items(told); }
};

/// Room for an item in a queue.
class BytePutWay : public ByteWay {
 protected:
  explicit BytePutWay(ByteQueue& queue) noexcept : ByteWay{queue} {}

  Outgoing item_{room_};

 private:
  bool take(bool slept) final;
  bool expect(SharedWaiter& waiter) noexcept final { return queue_.expect_room(waiter); }
  void leave(bool told) noexcept final { queue_.leave_room(told); }
};

template <class T>
[[nodiscard]] T value_of(const ItemRoom& item, const ByteQueue& queue);
template <class T>
void write_item(Outgoing& out, const T& item, const ByteQueue& queue);

template <class T, class Callables>
class SharedGetCase final : public ByteGetWay {
 public:
  SharedGetCase(Callables callables, ByteQueue& queue)
      : ByteGetWay{queue}, callables_(std::move(callables)) {}

  void run() override {
    if (ended_) return callables_.end("select to get from");
    callables_.callable(value_of<T>(item_, queue_));
  }

 private:
  Callables callables_;
};

template <class T, class Callables>
class SharedPutCase final : public BytePutWay {
 public:
  SharedPutCase(Callables callables, ByteQueue& queue, const T& item)
      : BytePutWay{queue}, callables_(std::move(callables)) {
    write_item(item_, item, queue);
  }

  void run() override {
    if (ended_) return callables_.end("select to put into");
    callables_.callable();
  }

 private:
  Callables callables_;
};

}  // namespace weft::process::detail
