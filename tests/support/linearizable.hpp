#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace weft::test {

/// One call that was made and has returned, between two moments of a common count.
template <class Call>
struct Operation {
  Call call;  ///< What was asked for and what came of it.
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// Operations of several contexts, each of which records into a list of its own.
template <class Call>
class History {
 public:
  explicit History(std::size_t contexts) : lists_(contexts) {}

  /// Runs `make()`, which returns a Call, and records when.
  template <class Make>
  void record(std::size_t context, Make make) {
    const std::uint64_t begin = now_.fetch_add(1);
    Call call = make();
    lists_[context].push_back({std::move(call), begin, now_.fetch_add(1)});
  }

  [[nodiscard]] const std::vector<std::vector<Operation<Call>>>& lists() const { return lists_; }

 private:
  std::atomic<std::uint64_t> now_{0};
  std::vector<std::vector<Operation<Call>>> lists_;
};

/// Whether there is an order of all operations in which each could have happened at one moment between its begin and
/// its end with the result it had. Model: a value with `bool apply(const Call&)` (does it, if this could be the result)
/// and `std::string key() const` (equal keys, equal futures).
///
/// A search: of the operations that no other precedes one is taken to be the next, and so on; sets of taken operations
/// that have failed in a state are not tried again. For a few contexts and operations.
template <class Model, class Call>
class LinearizabilityCheck {
 public:
  LinearizabilityCheck(Model initial, const History<Call>& history) : lists_{history.lists()} {
    std::vector<std::size_t> next(lists_.size(), 0);
    linearizable_ = search(initial, next);
  }
  explicit operator bool() const { return linearizable_; }

 private:
  bool search(const Model& model, std::vector<std::size_t>& next) {
    std::uint64_t first_end = UINT64_MAX;
    for (std::size_t c = 0; c < lists_.size(); ++c) {
      if (next[c] < lists_[c].size()) first_end = std::min(first_end, lists_[c][next[c]].end);
    }
    if (first_end == UINT64_MAX) return true;
    if (!failed_.insert({next, model.key()}).second) return false;
    for (std::size_t c = 0; c < lists_.size(); ++c) {
      if (next[c] == lists_[c].size()) continue;
      const Operation<Call>& operation = lists_[c][next[c]];
      if (operation.begin > first_end) continue;  // another had ended before it began
      Model after = model;
      if (!after.apply(operation.call)) continue;
      ++next[c];
      if (search(after, next)) return true;
      --next[c];
    }
    return false;
  }

  const std::vector<std::vector<Operation<Call>>>& lists_;
  std::set<std::pair<std::vector<std::size_t>, std::string>> failed_;
  bool linearizable_ = false;
};

template <class Model, class Call>
[[nodiscard]] bool is_linearizable(Model initial, const History<Call>& history) {
  return static_cast<bool>(LinearizabilityCheck<Model, Call>{std::move(initial), history});
}

}  // namespace weft::test
