#pragma once

// The future that map_async() of a Pool gives. Headers of weft only.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/detail/gathered.hpp>
#include <weft/detail/process_map.hpp>

namespace weft::detail {

/// The results of a map_async(): of its chunks, put together when the last is done. `Callbacks`: those of apply_async(); nullptr_t, if there
/// are none.
template <class R, class Callbacks>
class GatheredChunks final : public Gathered<std::vector<R>> {
 public:
  using Chunk = Future<std::vector<R>>;

  static Future<std::vector<R>> of(std::shared_ptr<ProcessPoolCore> core, std::vector<Chunk> chunks, Callbacks callbacks) {
    auto& self = *new GatheredChunks{std::move(core), std::move(chunks), std::move(callbacks)};
    auto all = FutureAccess::adopt<std::vector<R>>(self);
    if (self.chunks_.empty()) self.gather();
    for (std::size_t i = 0; i < self.chunks_.size(); ++i) self.watch(i, FutureAccess::state(self.chunks_[i]));
    return all;
  }

 private:
  static constexpr bool kTells = !std::is_null_pointer_v<Callbacks>;

  GatheredChunks(std::shared_ptr<ProcessPoolCore> core, std::vector<Chunk> chunks, Callbacks callbacks)
      : Gathered<std::vector<R>>{chunks.size()}, core_{std::move(core)}, chunks_{std::move(chunks)}, callbacks_{std::make_unique<Callbacks>(std::move(callbacks))} {}

  void one_is_done(std::size_t, FutureState&) noexcept override {
    if (!this->count_down()) return;
    if (std::any_of(chunks_.begin(), chunks_.end(), [](const Chunk& chunk) { return chunk.cancelled(); })) {
      nothing_is_left_.store(true, std::memory_order_relaxed);  // for take_back(), which is called in the next line
      (void)this->cancel();
    } else {
      gather();
    }
  }

  void gather() noexcept {
    const bool decided = this->try_decide([this] {
      std::vector<R> all;
      for (Chunk& chunk : chunks_) append(all, chunk.get());
      return all;
    });
    if (!decided) return;
    if (kTells || this->publish_if(DoneHook::Calls::Gatherers) == DoneHook::Calls::Users) core_->call_back(*this, publish_);
  }

  bool is_elsewhere() const noexcept override { return true; }
  bool begun_elsewhere() const noexcept override {
    return std::any_of(chunks_.begin(), chunks_.end(),
                       [](const Chunk& chunk) { return chunk.running() || (chunk.done() && !chunk.cancelled()); });
  }
  // All or nothing: of a chunk that begins meanwhile nobody sees the results.
  bool take_back() noexcept override {
    if (nothing_is_left_.load(std::memory_order_relaxed)) return true;
    if (begun_elsewhere()) return false;
    for (Chunk& chunk : chunks_) (void)chunk.cancel();
    return true;
  }
  // A wait for the first that is not done, as it is known what has to happen for that.
  bool advance(Deadline deadline) override {
    for (Chunk& chunk : chunks_) {
      if (!chunk.wait_until(deadline)) return false;
    }
    return this->done();
  }
  void call_back(DoneHook& hook) noexcept override { core_->call_back(*this, hook); }
  void abandon() noexcept override { callbacks_.reset(); }

  // When it is the turn of what is called.
  class Publish final : public DoneHook {
   public:
    void on_done(FutureState& future) noexcept override {
      if constexpr (kTells) {
        auto& self = static_cast<GatheredChunks&>(future);
        tell_of_end(self.callbacks_, future.failure(), self);
      }
      future.publish();
    }
  };

  const std::shared_ptr<ProcessPoolCore> core_;
  std::vector<Chunk> chunks_;
  std::atomic<bool> nothing_is_left_{false};
  std::unique_ptr<Callbacks> callbacks_;
  Publish publish_;
};

}  // namespace weft::detail
