#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

namespace weft {

/// Root of weft's own failures. Failures of the operating system are OSError, a std::system_error.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A deadline passed before the operation could finish.
class TimeoutError : public Error {
 public:
  using Error::Error;
};

namespace detail {
class TimeLimit;
}  // namespace detail

/// The time of a Timeout is up; Timeout::is() tells whether it is one's own.
class TimeoutExpired : public TimeoutError {
 private:
  friend class detail::TimeLimit;

  TimeoutExpired(const std::string& text, std::uint64_t context, std::uint64_t number)
      : TimeoutError{text}, context_{context}, number_{number} {}

  std::uint64_t context_;
  std::uint64_t number_;  // of those that this context has made
};

/// The result asked for belongs to work that was cancelled.
class CancelledError : public Error {
 public:
  using Error::Error;
};

/// The object was shut down: a put after shutdown(), a get from an empty queue that will not be filled again.
class ShutDown : public Error {
 public:
  using Error::Error;
};

/// The call does not fit the state of the object: unlocking what one does not hold, one task_done() too many.
class InvalidStateError : public Error {
 public:
  using Error::Error;
};

/// The call is part of a circle of contexts that wait for each other, and would wait for ever. what() names them: a line each, with
/// what it waits for, since when, where, and who holds that.
class DeadlockError : public Error {
 public:
  using Error::Error;
};

/// A party of a Barrier will not come, so that the others cannot be let through.
class BrokenBarrierError : public Error {
 public:
  using Error::Error;
};

/// An executor can run nothing any more: its workers could not be set up, or are not there.
class BrokenExecutor : public Error {
 public:
  using Error::Error;
};

/// The process that ran a task ended before the task did: by a signal, by exit(), for want of memory. Others are not harmed.
class WorkerDied : public Error {
 public:
  /// `signal` 0: it exited, with `exit_code`.
  WorkerDied(const std::string& task, const std::string& worker, int pid, int signal, int exit_code);

  /// The function that it ran.
  [[nodiscard]] const std::string& task() const noexcept { return task_; }
  [[nodiscard]] const std::string& worker() const noexcept { return worker_; }
  [[nodiscard]] int pid() const noexcept { return pid_; }
  [[nodiscard]] int signal() const noexcept { return signal_; }
  [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

 private:
  std::string task_;
  std::string worker_;
  int pid_;
  int signal_;
  int exit_code_;
};

/// Tasks of a process::JoinableQueue were taken by a process that ended before it said that they are done.
class TasksLost : public Error {
 public:
  using Error::Error;
};

namespace detail {
class RemoteStack;
}  // namespace detail

/// Work in another process threw something of a type that is neither the standard library's nor weft's: what is known of it. Exceptions of
/// those come back as themselves, with a RemoteError nested in them: see remote_origin().
class RemoteError : public Error {
 public:
  RemoteError(std::string type, std::string message, std::string place, std::shared_ptr<const detail::RemoteStack> stack = nullptr);

  /// The exception's type, as C++ writes it.
  [[nodiscard]] const std::string& type() const noexcept { return type_; }
  /// Its what(); empty if it has none.
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  /// Which function threw it, in which process.
  [[nodiscard]] const std::string& place() const noexcept { return place_; }
  /// The calls that led there, each a line of its own, the innermost first:
  ///
  ///       at parse(std::string const&) (orders.cpp:41)
  ///       called from total(std::string const&) (orders.cpp:97)
  ///
  /// Of an exception that was caught and thrown again, or came out of a future, those that led to the last throw; followed by what is known of
  /// exceptions nested in it, and of another process that it came from. Empty: nothing is known.
  /// Cost: tens of milliseconds: only now debug information is read, if there is any, for files and lines (libdw must be installed).
  [[nodiscard]] std::string stack() const;

 private:
  std::string type_;
  std::string message_;
  std::string place_;
  std::shared_ptr<const detail::RemoteStack> stack_;
};

/// What is known of the throw in another process that this exception came from: the exception itself, or the RemoteError nested in it
/// (std::rethrow_if_nested() finds it too), however deep. Null: it was thrown in this process. Valid as long as `error` is.
///
///     try {
///       pool.submit(parse, file).get();
///     } catch (const std::exception& error) {
///       std::cerr << error.what() << '\n';
///       if (const weft::RemoteError* origin = weft::remote_origin(error)) std::cerr << origin->stack();
///     }
[[nodiscard]] const RemoteError* remote_origin(const std::exception& error) noexcept;

/// The peer sent what the protocol does not allow.
class ProtocolError : public Error {
 public:
  using Error::Error;
};

/// The peer ended the stream before everything that was asked for had come.
class EndOfStream : public Error {
 public:
  EndOfStream(const std::string& what, std::size_t received) : Error(what), received_(received) {}
  /// Bytes that did come, counted from the start of the interrupted call.
  [[nodiscard]] std::size_t received() const noexcept { return received_; }

 private:
  std::size_t received_;
};

/// The peer does not know the key, or says that we do not.
class AuthenticationError : public Error {
 public:
  using Error::Error;
};

/// Unwinds a fiber that was killed: it passes through every blocking call until the fiber ends.
/// Deliberately not a std::exception, so that a handler for failures does not swallow it. A `catch (...)` must rethrow
/// it; if it does not, the next blocking call throws it again.
class Cancelled {};

/// Cancelled by Ctrl-C, or another signal: see InterruptScope.
class KeyboardInterrupt : public Cancelled {
 public:
  explicit KeyboardInterrupt(int signal) noexcept : signal_{signal} {}
  [[nodiscard]] int signal() const noexcept { return signal_; }

 private:
  int signal_;
};

/// A failed system call: what was tried, on what, and why it failed.
/// what() reads "OPERATION OBJECT: CAUSE", for example "connect to 127.0.0.1:9: Connection refused".
class OSError : public std::system_error {
 public:
  /// `error` is a positive errno value.
  OSError(int error, std::string operation, std::string object = {});

  [[nodiscard]] int errno_value() const noexcept { return code().value(); }
  [[nodiscard]] const std::string& operation() const noexcept { return operation_; }
  [[nodiscard]] const std::string& object() const noexcept { return object_; }
  [[nodiscard]] const char* what() const noexcept override { return what_.c_str(); }

 private:
  std::string operation_;
  std::string object_;
  std::string what_;
};

/// A call on an object in non-blocking mode that would have had to wait.
class WouldBlock : public OSError {
 public:
  using OSError::OSError;
};

}  // namespace weft
