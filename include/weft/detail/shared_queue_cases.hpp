#pragma once

// What select() waits for at a queue between processes.

#include <cstddef>
#include <utility>

#include <weft/detail/byte_queue.hpp>
#include <weft/detail/queue_cases.hpp>
#include <weft/detail/shared_way.hpp>
#include <weft/process/parcel.hpp>

namespace weft::process::detail {

/// An item of a queue, as bytes.
class ByteGetWay : public SharedWay {
 protected:
  explicit ByteGetWay(ByteQueue& queue) noexcept : queue_{queue} {}

  ByteQueue& queue_;
  bool ended_ = false;

 private:
  static constexpr std::size_t kRoom = 512;

  bool take(bool slept) final;
  bool expect(SharedWaiter& waiter) noexcept final { return queue_.expect_item(waiter); }
  void leave(bool told) noexcept final { queue_.leave_items(told); }

  alignas(std::max_align_t) std::byte room_[kRoom];

 protected:
  ItemRoom item_{room_};
};

/// Room for an item in a queue.
class BytePutWay : public SharedWay {
 protected:
  explicit BytePutWay(ByteQueue& queue) noexcept : queue_{queue} {}

  ByteQueue& queue_;
  bool ended_ = false;

 private:
  static constexpr std::size_t kRoom = 512;

  bool take(bool slept) final;
  bool expect(SharedWaiter& waiter) noexcept final { return queue_.expect_room(waiter); }
  void leave(bool told) noexcept final { queue_.leave_room(told); }

  alignas(std::max_align_t) std::byte room_[kRoom];

 protected:
  Outgoing item_{room_};
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
