#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include <weft/detail/context.hpp>

namespace weft::detail {

/// Who works for a pool, for reports and the search for deadlocks: a future that stands in a pool's line is as stuck as all
/// of its workers are.
///
/// Rosters are pooled and never freed: the monitor may look at the one of a pool that has just gone. What it reads then is of no
/// consequence, as the wait that led it there has ended and will not be confirmed.
class Roster {
 public:
  static constexpr unsigned kMost = 64;

  /// `kind`: a literal. `most`: how many work there at most; 0: no limit.
  [[nodiscard]] static Roster& take(const char* kind, const std::string& name, unsigned most);
  static void give_back(Roster& roster) noexcept;

  // By the worker itself. A pool of more than kMost workers is not kept account of.
  void sign_in(std::uint64_t id) noexcept;
  void sign_out(std::uint64_t id) noexcept;

  /// All who work there, if all have come who may come; otherwise 0: one more could.
  [[nodiscard]] std::size_t workers(std::uint64_t* ids, std::size_t most) const noexcept;
  void explain(char* text, std::size_t room) const noexcept;

 private:
  std::atomic<unsigned> most_{0};
  std::atomic<std::uint64_t> ids_[kMost]{};
  std::atomic<const char*> kind_{nullptr};
  ContextName name_;
  Roster* next_free_ = nullptr;
};

}  // namespace weft::detail
