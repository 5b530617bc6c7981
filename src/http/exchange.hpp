#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include <weft/base/deadline.hpp>
#include <weft/detail/context.hpp>
#include <weft/http/headers.hpp>
#include <weft/http/response.hpp>

namespace weft::http {

/// What is asked of a server, once: a redirect is another question.
struct Question {
  std::string method;
  std::string url;
  std::string shown_url;  ///< Without user and password.
  Headers headers;
  std::shared_ptr<const std::string> body;
  std::optional<std::string> proxy;
  std::optional<std::string> ca_file;
  std::uint64_t max_size_bytes = 0;
  bool streams = false;          ///< The body goes to the caller as it comes.
  bool skips_redirects = false;  ///< The body of a redirect is of no interest.

  [[nodiscard]] std::string name() const { return method + ' ' + shown_url; }
};

/// Why there is no answer.
struct Failure {
  enum class Kind : std::uint8_t { None, Broken, TimedOut, TooLarge };
  Kind kind = Kind::None;
  std::string reason = {};
  int error = 0;
};

/// Whether a server's answer sends the client elsewhere.
[[nodiscard]] bool is_redirect(const Response& response) noexcept;

/// A question and its answer: shared by the caller, who may leave at any time, and the driver, who fills the answer in. Neither touches
/// memory of the other.
///
/// Who owns the response: the driver, until its head is complete and the caller has been told so, by bytes or by the end; its
/// content until the end. Handing over is by lock_.
class Exchange {
 public:
  explicit Exchange(Question asked);

  const Question question;

  // ---- the caller's side

  /// Waits until there is something to take. False: the deadline passed. Throws what a wait is interrupted for, and
  /// ConnectionError in a child of fork() that the question was not asked in.
  [[nodiscard]] bool wait(Deadline deadline);
  struct News {
    bool ended = false;
    bool was_full = false;  ///< The driver waits to be told that there is room again.
  };
  /// Swaps what has come of the body for `bytes`, which is empty.
  [[nodiscard]] News take(std::string& bytes);
  [[nodiscard]] Response& response() noexcept { return response_; }
  /// At the end: throws why there is no answer.
  void throw_failure() const;
  [[noreturn]] void throw_timeout() const;

  /// Nobody waits for the answer any more.
  void abandon() noexcept { abandoned_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool is_abandoned() const noexcept { return abandoned_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool belongs_here() const noexcept { return process_ == detail::this_process(); }

  // ---- the driver's side

  void note_connected() noexcept { connected_.store(true, std::memory_order_relaxed); }
  /// One line of the head, with its end of line. False: there are too many of them.
  [[nodiscard]] bool header_line(std::string_view line);
  [[nodiscard]] bool has_head() const noexcept { return head_complete_; }
  enum class Fed : std::uint8_t { Taken, Full, TooLarge };
  /// Some of the body. Full: nothing was taken; the caller will say when to go on.
  [[nodiscard]] Fed feed(std::string_view bytes);
  void end(Failure failure) noexcept;

 private:
  void begin_head(std::string_view status_line);
  void wake(std::unique_lock<std::mutex>& guard) noexcept;
  /// False: there is something to take.
  [[nodiscard]] bool enlist(detail::Entry& entry) noexcept;

  const std::uint32_t process_;
  std::atomic<bool> abandoned_{false};
  std::atomic<bool> connected_{false};
  std::atomic<std::uint64_t> received_{0};  // bytes of the body

  // The driver's.
  std::size_t head_bytes_ = 0;
  bool head_complete_ = false;

  Response response_;  // see above
  Failure failure_;    // the driver's until the end, then the caller's

  std::mutex lock_;
  // Guarded by lock_.
  std::string pending_;  // what of the body waits to be taken, if it streams
  bool full_ = false;    // the driver holds the server back
  bool ended_ = false;
  detail::Entry* waiter_ = nullptr;
};

}  // namespace weft::http
