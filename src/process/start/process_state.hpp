#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <weft/base/owned_fd.hpp>
#include <weft/process/process.hpp>
#include <weft/sync/lock.hpp>

namespace weft::detail {

class Descriptor;
class Lifeline;
struct Launched;

/// What handles of Process refer to: a child, the calling process itself, or its parent.
///
/// What changes is guarded by one lock for all processes, Processes::lock, which can be held across fork().
class ProcessState : public std::enable_shared_from_this<ProcessState> {
 public:
  enum class Kind : std::uint8_t { Child, Current, Parent };
  enum class Phase : std::uint8_t { New, Starting, Alive, Ended };

  /// A child to be.
  ProcessState(std::optional<StartMethod> method, std::unique_ptr<ProcessWork> work) noexcept;
  /// The calling process.
  ProcessState(std::string name, std::string number, bool daemon) noexcept;
  /// Its parent, whose end `end` tells of.
  ProcessState(Kind kind, std::string name, pid_t pid, Descriptor* end) noexcept;
  ~ProcessState();

  /// `object`: whose run() is its work; null: the callable is.
  void start(Process* object);
  [[nodiscard]] bool join_until(Deadline deadline);
  [[nodiscard]] bool is_alive();
  [[nodiscard]] std::optional<int> exitcode();
  [[nodiscard]] int sentinel();
  void send_signal(int signal, const char* operation);
  void close();
  void call_work();

  // For a wait in several places. has_ended(): and has been buried.
  void require_joinable();
  [[nodiscard]] bool has_ended();
  /// The same; if not, whoever waits for it next sleeps until it has.
  [[nodiscard]] bool look_for_end();
  [[nodiscard]] Descriptor& end() const noexcept { return *end_; }

  [[nodiscard]] std::string name();
  void set_name(std::string name);
  [[nodiscard]] bool daemon() const noexcept { return daemon_.load(std::memory_order_relaxed); }
  void set_daemon(bool daemon);
  /// Of the calling process: though it is a daemon.
  void allow_children() noexcept { may_have_children_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] pid_t pid();
  /// Of one that has been started; whether closed or not.
  [[nodiscard]] pid_t plain_pid() const noexcept { return pid_.load(std::memory_order_acquire); }

  // In the child of a fork(), where it is the calling process.
  void become_current() noexcept;
  void run(Process* object);

  // For Processes. number(), plain_name(), must_be_awaited(): with the lock held. The others: of children in its list, at the end of the program.
  [[nodiscard]] const std::string& number() const noexcept { return number_; }
  [[nodiscard]] const std::string& plain_name() const noexcept { return name_; }
  [[nodiscard]] bool must_be_awaited() const noexcept { return !daemon() && !awaited_; }
  void set_awaited() noexcept;
  void signal_plainly(int signal) noexcept;
  void await_plainly(Deadline deadline) noexcept;

 private:
  void begin_start(const Process* object);
  [[nodiscard]] Launched launch(Process* object, OwnedFd theirs);
  void send_birth(process::Outgoing& out);
  void set_started(Launched launched, std::unique_ptr<Lifeline> lifeline);
  void bury();
  [[nodiscard]] int take_exit_code() noexcept;
  [[nodiscard]] std::optional<int> ask_for_exit_code() noexcept;
  void give_number();
  [[nodiscard]] std::string quoted_name() { return "process \"" + name() + '"'; }
  [[nodiscard]] bool is_mine() const noexcept;
  void require_open(const char* what);
  void require_started(const char* what);

  Kind kind_ = Kind::Child;
  std::atomic<Phase> phase_{Phase::New};
  std::string name_;
  std::string number_;  // "1:2", given with the name or at the start
  std::atomic<bool> daemon_{false};
  std::atomic<bool> may_have_children_{false};
  bool closed_ = false;
  bool awaited_ = false;
  std::optional<int> exit_code_;
  std::atomic<pid_t> pid_{0};

  std::optional<StartMethod> method_;  // nothing: the default
  std::unique_ptr<ProcessWork> work_;  // of whoever starts it

  // Set when it has been started.
  std::uint32_t parent_ = 0;   // which this_process() started it
  std::uint64_t server_ = 0;   // the fork server that is its parent; 0: this process
  bool self_buried_ = false;   // the kernel keeps its exit code
  Descriptor* end_ = nullptr;  // its pidfd
  std::unique_ptr<Lifeline> lifeline_;
  Lock burying_{"the end of a process"};  // whoever asks for its exit code
};

/// What the layer may do with handles.
struct ProcessAccess {
  [[nodiscard]] static Process handle(std::shared_ptr<ProcessState> state) { return Process{std::move(state)}; }
};

}  // namespace weft::detail
