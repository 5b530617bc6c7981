#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <weft/process/start_method.hpp>

#include "process/start/process_state.hpp"

namespace weft::detail {

/// What this process is, and all children that it has started and that have not been buried.
class Processes {
 public:
  [[nodiscard]] static Processes& all() noexcept;

  [[nodiscard]] std::shared_ptr<ProcessState> current();
  /// Its name, cut to what there is room for. Without waiting, for the monitor, whose own lock is taken after this one around fork(): when the lock
  /// is taken nothing is copied.
  void copy_name_if_free(std::span<char> to) noexcept;
  /// Null: weft did not start this process.
  [[nodiscard]] std::shared_ptr<ProcessState> parent();
  /// The calling process is this one from now on. Its children are counted from 1.
  void become(std::shared_ptr<ProcessState> self, std::shared_ptr<ProcessState> parent);
  void inherit(std::string authkey, StartMethod default_method);

  // With the lock held.
  void enlist(std::shared_ptr<ProcessState> child) { children_.push_back(std::move(child)); }
  void strike(const ProcessState& child) noexcept;
  [[nodiscard]] std::string next_number();

  [[nodiscard]] std::vector<std::shared_ptr<ProcessState>> children();
  /// Those of them that have ended are asked for their exit codes: their zombies go. `Dropped`: those that nobody else could ask.
  enum class Bury : bool { All, Dropped };
  void bury_ended(Bury which);

  [[nodiscard]] StartMethod default_method() noexcept;
  void set_default_method(StartMethod method, bool force);
  [[nodiscard]] std::string authkey();
  void set_authkey(std::string key);

  /// At the end of the program.
  void end_children() noexcept;
  /// Whether that has begun.
  [[nodiscard]] bool are_ending() const noexcept { return ending_.load(std::memory_order_relaxed); }

  void lock_for_fork() noexcept;
  void unlock_after_fork(bool in_child) noexcept;

  std::mutex lock;

 private:
  std::vector<std::shared_ptr<ProcessState>> children_;  // all: guarded by lock
  std::vector<std::shared_ptr<ProcessState>> not_ours_;  // of the parent, before fork(): kept, for leak checkers, and never looked at
  std::shared_ptr<ProcessState> current_;
  std::shared_ptr<ProcessState> parent_;
  unsigned last_number_ = 0;
  std::string authkey_;
  StartMethod default_method_ = StartMethod::Forkserver;
  bool default_is_set_ = false;
  std::atomic<bool> ending_{false};
};

}  // namespace weft::detail
