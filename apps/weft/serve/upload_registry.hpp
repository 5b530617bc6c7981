#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "weft/base/deadline.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/lock.hpp"

namespace weft::app {

/// Who is receiving which unfinished upload: one connection each, and the newest wins.
///
/// Why the newest: a client whose connection died comes back on a new one long before the server notices that the
/// old one is dead.
/// Thread-safety: all methods.
class UploadRegistry {
 public:
  /// The right to write one unfinished upload, given back when destroyed.
  class Claim {
   public:
    Claim(UploadRegistry& registry, std::string key, std::shared_ptr<Event> released)
        : registry_(&registry), key_(std::move(key)), released_(std::move(released)) {}
    ~Claim();
    Claim(Claim&& other) noexcept = default;
    Claim& operator=(Claim&&) = delete;

   private:
    UploadRegistry* registry_;
    std::string key_;
    std::shared_ptr<Event> released_;  // empty after a move
  };

  /// Takes the upload `key` over from its present holder, if any: calls that one's `evict` and waits until it let go.
  /// `evict` is called at most once, from another context, and must not wait.
  /// Throws: Refusal (Busy) when the holder does not let go in time.
  [[nodiscard]] Claim claim(const std::string& key, std::function<void()> evict, Deadline deadline);

 private:
  struct Holder {
    std::function<void()> evict;  // empty once called
    std::shared_ptr<Event> released;
  };

  void release(const std::string& key, const std::shared_ptr<Event>& released);

  Lock lock_;
  std::map<std::string, Holder> holders_;  // guarded by lock_
};

}  // namespace weft::app
