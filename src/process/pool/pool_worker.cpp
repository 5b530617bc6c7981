#include "process/pool/pool_worker.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

#include <weft/base/deadline.hpp>
#include <weft/base/error.hpp>
#include <weft/detail/remote_task.hpp>

#include "base/cause.hpp"
#include "port/futex.hpp"
#include "port/processor.hpp"
#include "port/throw_trace.hpp"
#include "process/memory/large_block.hpp"
#include "process/sending/remote_failure.hpp"
#include "process/start/process_state.hpp"
#include "process/start/processes.hpp"
#include "process/sync/spin_budget.hpp"

namespace weft::detail {

using process::detail::LargeBlock;

namespace {

constexpr std::chrono::milliseconds kPatienceWithFiber{5};

class PoolWorker {
 public:
  explicit PoolWorker(PoolSeat seat)
      : link_{SharedPages{std::move(seat.memory), PoolLink::bytes()}, std::move(seat.socket)},
        door_pages_{std::move(seat.door), sizeof(PoolDoor)},
        bell_{std::move(seat.bell)},
        fiber_bell_{std::move(seat.fiber_bell)},
        name_{std::move(seat.name)},
        most_tasks_{seat.most_tasks},
        initializer_{std::move(seat.initializer)},
        initializer_descriptors_{std::move(seat.initializer_descriptors)} {
    link_.pages().close_fd();
    door_pages_.close_fd();
  }

  void run() {
    // Ctrl-C reaches every process of the terminal: what is to be done about it the parent decides.
    ::signal(SIGINT, SIG_IGN);
    // A worker by fork has the mask of the thread that started it, one of weft's own, in which all signals are blocked.
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    if (!initialize()) return;
    board().stage.store(PoolBoard::Stage::Ready, std::memory_order_release);
    tell_pool();
    std::uint64_t done = 0;
    for (std::uint64_t index = 0; wait_for(link_.slot(index)); ++index) {
      PoolSlot& slot = link_.slot(index);
      if (!take(slot)) continue;
      serve(slot);
      // Release: whoever sees that it is done sees the reply.
      slot.state.store(SlotState::Done, std::memory_order_release);
      if (++done == most_tasks_) {
        board().stage.store(PoolBoard::Stage::Retired, std::memory_order_release);
        tell_pool();
        return;
      }
      tell_pool(&slot);
    }
  }

 private:
  [[nodiscard]] PoolBoard& board() const noexcept { return link_.board(); }

  bool initialize() {
    if (initializer_.empty()) return true;
    board().stage.store(PoolBoard::Stage::Initializing, std::memory_order_release);
    try {
      process::Incoming in{initializer_, std::move(initializer_descriptors_)};
      process::Outgoing nothing;
      reinterpret_cast<RunSent>(receive_function(in))(in, nothing);
      initializer_ = {};
      return true;
    } catch (...) {
      const std::string why = cause_of(std::current_exception());
      std::memcpy(board().failure, why.data(), std::min(why.size(), sizeof board().failure - 1));
      board().stage.store(PoolBoard::Stage::InitializerFailed, std::memory_order_release);
      tell_pool();
      return false;
    }
  }

  [[nodiscard]] static bool has_work(const PoolSlot& slot) noexcept {
    const SlotState state = slot.state.load(std::memory_order_acquire);
    return state == SlotState::Queued || state == SlotState::Withdrawn;
  }

  /// False: no more will come.
  bool wait_for(const PoolSlot& slot) noexcept {
    PoolBoard& shared = board();
    for (;;) {
      if (has_work(slot)) return true;
      look_on(slot);
      if (has_work(slot)) return true;
      shared.asleep.store(1, std::memory_order_seq_cst);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (!has_work(slot) && shared.closing.load(std::memory_order_acquire) == 0) {
        sleep();
      }
      shared.asleep.store(0, std::memory_order_relaxed);
      // What was filled before `closing` is done first.
      const bool closing = shared.closing.load(std::memory_order_acquire) != 0;
      if (closing && !has_work(slot)) return false;
    }
  }

  /// Not after the first task that came later than it would ever have looked on: there will hardly be another at once, and whoever waits for
  /// this one may need this very processor.
  void look_on(const PoolSlot& slot) noexcept {
    if (std::exchange(slept_long_, false)) return;
    (void)spins_.spin([&] { return has_work(slot) || board().closing.load(std::memory_order_relaxed) != 0; });
  }

  /// Until the pool says otherwise, or now and then.
  void sleep() noexcept {
    if (told_fiber_of_ && told_fiber_of_->state.load(std::memory_order_acquire) != SlotState::Done) told_fiber_of_ = nullptr;
    const std::int64_t since = Deadline::now_nanoseconds();
    const Deadline deadline = told_fiber_of_ ? Deadline::after(kPatienceWithFiber) : keeps_blocks_ ? Deadline::after(kKeepBlocks) : Deadline::never();
    const bool is_late = port::futex_wait_shared(port::futex_word(board().asleep), 1, deadline) == -ETIMEDOUT;
    slept_long_ = Deadline::now_nanoseconds() - since > spins_.most();
    if (!is_late) return;
    if (told_fiber_of_) {
      if (std::exchange(told_fiber_of_, nullptr)->state.load(std::memory_order_acquire) == SlotState::Done) ring(bell_);
      return;
    }
    LargeBlock::trim(kKeepBlocks);
    keeps_blocks_ = false;
  }

  /// False: it was withdrawn.
  bool take(PoolSlot& slot) noexcept {
    SlotState expected = SlotState::Queued;
    if (slot.state.compare_exchange_strong(expected, SlotState::Taken, std::memory_order_acq_rel, std::memory_order_acquire)) {
      if (slot.timed != 0) slot.begun_at.store(Deadline::now_nanoseconds(), std::memory_order_release);
      return true;
    }
    slot.state.store(SlotState::Free, std::memory_order_release);
    return false;
  }

  void serve(PoolSlot& slot) {
    const bool in_area = slot.bytes_at == SlotBytes::Area;
    const std::span<std::byte> room = in_area ? link_.area(slot.area) : std::span{slot.bytes};
    try {
      port::watch_throw(thrown_, [&] {
        process::Outgoing out{room};
        out.put_large_in_block();
        run(slot, out);
        reply(slot, SlotKind::Value, out);
      });
    } catch (...) {
      fail(slot, std::current_exception());
    }
  }

  void run(PoolSlot& slot, process::Outgoing& out) {
    std::vector<OwnedFd> descriptors;
    if (slot.descriptors != 0) {
      descriptors = link_.receive_descriptors(slot.number, slot.descriptors);
      tell_pool();  // which may let go of its own
    }
    const auto call = [&](process::Incoming in) { reinterpret_cast<RunSent>(receive_function(in))(in, out); };
    if (slot.bytes_at == SlotBytes::Block) {
      keeps_blocks_ = true;
      const LargeBlock block = LargeBlock::receive(std::move(descriptors.front()), slot.size);
      descriptors.erase(descriptors.begin());
      call(process::Incoming::from_block(block, std::move(descriptors)));
    } else {
      const std::span<const std::byte> bytes = slot.bytes_at == SlotBytes::Area ? link_.area(slot.area) : std::span{slot.bytes};
      call(process::Incoming{bytes.first(slot.size), std::move(descriptors)});
    }
  }

  /// Puts it where there is room. Throws: there is none; a failure takes its place then.
  void reply(PoolSlot& slot, SlotKind kind, process::Outgoing& out) {
    const std::span<const std::byte> bytes = out.bytes();
    std::vector<OwnedFd> descriptors = out.take_descriptors();
    LargeBlock block;
    SlotBytes at = SlotBytes::Inline;
    if (bytes.size() > kAreaBytes) {
      at = SlotBytes::Block;
      keeps_blocks_ = true;
      block = out.take_block();
    } else if (bytes.size() > PoolSlot::kInline || bytes.data() == link_.area(slot.area).data()) {
      at = SlotBytes::Area;
      if (bytes.data() != link_.area(slot.area).data()) std::memcpy(link_.area(slot.area).data(), bytes.data(), bytes.size());
    } else if (bytes.data() != slot.bytes && !bytes.empty()) {
      std::memcpy(slot.bytes, bytes.data(), bytes.size());
    }
    if (descriptors.size() >= kMostDescriptors)
      throw Error{"sending a result back: it has " + std::to_string(descriptors.size()) + " descriptors; fewer than " + std::to_string(kMostDescriptors) +
                  " go at once"};
    std::vector<int> numbers;
    if (block) numbers.push_back(block.lend());
    for (const OwnedFd& fd : descriptors) numbers.push_back(fd.get());
    if (!numbers.empty()) {
      if (const int error = link_.send_descriptors(slot.number, numbers)) {
        if (block) block.take_back();
        throw OSError{error, "sending a result back"};
      }
    }
    slot.bytes_at = at;
    slot.kind = kind;
    slot.size = bytes.size();
    slot.descriptors = static_cast<std::uint32_t>(numbers.size());
  }

  void fail(PoolSlot& slot, const std::exception_ptr& why) {
    try {
      process::Outgoing out;
      send_failure(out, why, thrown_.callers());
      return reply(slot, SlotKind::Failure, out);
    } catch (...) {
      // There is no memory for it, or no descriptor for a long one.
    }
    process::Outgoing shorter{slot.bytes};
    send_failure(shorter, std::make_exception_ptr(Error{"the task failed, and what it threw could not be sent"}));
    reply(slot, SlotKind::Failure, shorter);
  }

  /// Whoever is in charge there learns that something is done; see PoolDoor. A worker that is killed within strands nobody: the
  /// pool's dispatcher wakes up by its end, looks at all slots, and wakes who sleeps.
  /// `result`: the slot that is done, if it is one; of other things a fiber that listens is not told.
  void tell_pool(const PoolSlot* result = nullptr) noexcept {
    auto& attention = reinterpret_cast<PoolDoor*>(door_pages_.data())->attention;
    // With the fence of who asks to be told: either he sees the slot, or we see that he asks.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (;;) {
      const std::uint32_t seen = attention.load(std::memory_order_relaxed);
      if (seen & (PoolDoor::kLooking | PoolDoor::kSubmitter)) return;
      const std::uint32_t who = seen & PoolDoor::kSleeper             ? PoolDoor::kSleeper
                                : (seen & PoolDoor::kFiber) && result ? PoolDoor::kFiber
                                                                      : seen & PoolDoor::kDispatcher;
      if (who == 0) return;
      if (!(attention.fetch_and(~who, std::memory_order_acq_rel) & who)) continue;
      if (who == PoolDoor::kSleeper) {
        port::futex_wake_shared(port::futex_word(attention), 1);
      } else if (who == PoolDoor::kFiber) {
        told_fiber_of_ = result;
        ring(fiber_bell_);
      } else {
        ring(bell_);
      }
      return;
    }
  }

  // A task has closed what was not its own: nobody would learn of what is done here. The pool sees the end of the process, and the result.
  static void ring(const OwnedFd& bell) noexcept {
    const std::uint64_t one = 1;
    if (::write(bell.get(), &one, sizeof one) < 0 && errno == EBADF) ::_exit(1);
  }

  PoolLink link_;
  SharedPages door_pages_;
  OwnedFd bell_, fiber_bell_;
  const std::string name_;
  const std::uint64_t most_tasks_;
  std::vector<std::byte> initializer_;
  bool keeps_blocks_ = false;  // memory of large values, to be used again
  SpinBudget spins_;
  bool slept_long_ = false;
  /// A result of which only a fiber was told. Its runtime may have no worker for it for long: if nobody has come for the result by then, the
  /// dispatcher is told, too, as others may be interested.
  const PoolSlot* told_fiber_of_ = nullptr;
  std::vector<OwnedFd> initializer_descriptors_;
  port::ThrowTrace thrown_;  // of the task that failed last
};

}  // namespace

void serve_pool(PoolSeat seat) {
  if (seat.starts_processes) Processes::all().current()->allow_children();
  PoolWorker{std::move(seat)}.run();
}

}  // namespace weft::detail
