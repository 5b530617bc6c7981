#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/deadlock.hpp"
#include "engine/far_watch.hpp"
#include "process/sync/wait_board.hpp"

namespace weft::process::detail {

/// Whether what is told by `process` is told by whom a FarHolder::process means, who may know the number only.
[[nodiscard]] bool is_meant(std::uint64_t holder, ProcessStamp process) noexcept;

/// What the processes of a family tell, as one graph; and what it proves.
///
/// Each process looks at its own waits (engine/deadlock.hpp), and tells of those that lead to other processes: who waits since when, and for
/// whom. Of each it tells since when every look has found the context in that very wait, for the same holders, and when its
/// latest looks began and ended. A context that was in the same wait at two looks was in it all the time between the end of the one and
/// the beginning of the other. So if for everybody of a circle, and whoever it depends on, such times overlap, and within the overlap
/// each process has looked at who holds what, then at that time all were blocked, each for something that the next one, blocked
/// himself, held and could not let go of: a deadlock, as DeadlockWatch has it. Clocks agree, as all read the machine's monotonic one.
/// What a dead or stopped process has told proves something of the past only, as its looks do not go on.
class FamilyGraph {
 public:
  explicit FamilyGraph(std::vector<Told> all);
  FamilyGraph(const FamilyGraph&) = delete;
  FamilyGraph& operator=(const FamilyGraph&) = delete;

  /// Those of several processes; the others are found at home. The same, in the same order, wherever the same is told.
  [[nodiscard]] std::vector<weft::detail::Knot> knots() const;
  /// The processes of a knot.
  [[nodiscard]] std::vector<const Told*> members(const weft::detail::Knot& knot) const;
  /// Since when all of them have been seen in it.
  [[nodiscard]] std::int64_t seen_from(const weft::detail::Knot& knot) const;
  /// Until when all of them were blocked, as far as it is proved; 0: it is not.
  [[nodiscard]] std::int64_t proved_until(const weft::detail::Knot& knot) const;
  /// The one that blocked last of the circle, of those that may throw.
  [[nodiscard]] std::size_t victim(const weft::detail::Knot& knot) const;
  /// All but which of the caller's waits it is, and until when it is proved.
  [[nodiscard]] weft::detail::FarDeadlock describe(const weft::detail::Knot& knot, std::size_t victim) const;

  [[nodiscard]] const Told& told_by(std::size_t node) const { return all_[nodes_[node].told]; }
  [[nodiscard]] const ToldWait& wait(std::size_t node) const { return *nodes_[node].wait; }

 private:
  struct Node {
    std::size_t told;
    const ToldWait* wait;
  };

  [[nodiscard]] std::span<const weft::detail::FarHolder> holders(std::size_t node) const;
  [[nodiscard]] std::uint64_t id_of(const weft::detail::FarHolder& holder) const;
  [[nodiscard]] std::string name(std::size_t node) const;
  void collect_names(std::size_t node, std::vector<std::string>& names) const;
  [[nodiscard]] std::string names_of_holders(std::size_t node) const;

  std::vector<Told> all_;
  std::vector<Node> nodes_;
  std::vector<weft::detail::SeenWait> waits_;  // the id of a node is its index plus one
  std::map<std::pair<std::size_t, std::uint64_t>, std::uint64_t> ids_;
};

}  // namespace weft::process::detail
