#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>

#include <weft/detail/pool_core.hpp>
#include <weft/queue/queue.hpp>

#include "futures/roster.hpp"

namespace weft::detail {

/// The line of a pool: jobs that wait for a worker, and whether more may come.
class PoolJobs {
 public:
  PoolJobs(const char* kind, const std::string& name, unsigned most_workers, std::size_t most_pending);
  PoolJobs(const PoolJobs&) = delete;
  PoolJobs& operator=(const PoolJobs&) = delete;
  ~PoolJobs();

  /// Throws what submit() throws when no job is taken any more: ShutDown, or BrokenExecutor.
  [[noreturn]] void refuse() const;
  /// Waits for room if there is a bound. Throws, and releases the job: as submit().
  void put(FutureState& job);
  /// Null: none now.
  [[nodiscard]] FutureState* try_take();
  /// Waits for one. Null: none will come.
  [[nodiscard]] FutureState* take();
  [[nodiscard]] bool empty() const noexcept { return jobs_.empty(); }

  void close() { jobs_.shutdown(); }
  [[nodiscard]] bool is_closed() const noexcept { return jobs_.is_shut_down(); }
  /// Closes it; all that wait fail with BrokenExecutor, and so does every later submission.
  void break_down(const std::string& why);
  void cancel_waiting() noexcept;

  [[nodiscard]] Roster& roster() noexcept { return roster_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// Whether this process is a forked child of the one it belongs to: the workers have stayed there.
  [[nodiscard]] bool is_left_behind() const noexcept { return process_ != this_process(); }

 private:
  /// The queue, whose waits for room are for the pool's workers to end.
  class Line : public Queue<FutureState*> {
   public:
    Line(Roster& roster, std::size_t most, const char* kind) : Queue{most, kind}, room_{roster} {}
    void put(FutureState* job) { (void)put_source_as({.kind = WaitKind::Room, .object = explained(), .holders = &holders}, &job); }

   private:
    struct Room final : Explained {
      explicit Room(Roster& of) noexcept : roster{of} {}
      void explain(char* text, std::size_t room) const noexcept override { roster.explain(text, room); }
      Roster& roster;
    };
    [[nodiscard]] const Explained* explained() const noexcept { return &room_; }
    [[nodiscard]] static std::size_t holders(const void* room, std::uint64_t* ids, std::size_t most) noexcept;

    Room room_;
  };

  const std::string name_;
  const char* const kind_;
  const std::uint32_t process_ = this_process();
  Roster& roster_;
  std::atomic<bool> breaking_{false};
  std::atomic<bool> broken_{false};
  std::string why_broken_;  // written once, by who sets breaking_, before broken_
  Line jobs_;
};

}  // namespace weft::detail
