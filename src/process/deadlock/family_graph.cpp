#include "process/deadlock/family_graph.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "process/deadlock/far_holders.hpp"

namespace weft::process::detail {

using weft::detail::FarDeadlock;
using weft::detail::FarHolder;
using weft::detail::Knot;
using weft::detail::mark_of_wait;

namespace {

constexpr std::size_t kMostNames = 4;

bool has_start(std::uint64_t process) noexcept { return process >> kStampStartShift != 0; }

std::string process_text(const Told& told) {
  const std::string pid = "(pid " + std::to_string(pid_of(told.process)) + ')';
  return told.name[0] == '\0' ? "process " + pid : std::string{"process \""} + told.name + "\" " + pid;
}

}  // namespace

bool is_meant(std::uint64_t holder, ProcessStamp process) noexcept {
  if (has_start(holder) && has_start(process)) return holder == process;
  return holder != kNobodyYet.process && pid_of(holder) == pid_of(process);
}

FamilyGraph::FamilyGraph(std::vector<Told> all) : all_{std::move(all)} {
  // In the same order everywhere.
  std::sort(all_.begin(), all_.end(), [](const Told& a, const Told& b) { return a.process < b.process; });
  for (std::size_t told = 0; told < all_.size(); ++told) {
    for (const ToldWait& it : all_[told].waits) {
      ids_.emplace(std::pair{told, it.context}, nodes_.size() + 1);
      nodes_.push_back({told, &it});
    }
  }
  waits_.resize(nodes_.size());
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    waits_[node].id = node + 1;
    for (const FarHolder& holder : holders(node)) waits_[node].holders.push_back(id_of(holder));
  }
}

std::vector<Knot> FamilyGraph::knots() const {
  std::vector<Knot> knots = weft::detail::find_knots(waits_);
  std::erase_if(knots, [this](const Knot& knot) { return members(knot).size() < 2; });
  return knots;
}

std::vector<const Told*> FamilyGraph::members(const Knot& knot) const {
  std::vector<const Told*> members;
  for (const std::size_t node : knot.all) {
    const Told* const told = &told_by(node);
    if (std::find(members.begin(), members.end(), told) == members.end()) members.push_back(told);
  }
  return members;
}

std::int64_t FamilyGraph::seen_from(const Knot& knot) const {
  std::int64_t from = 0;
  for (const std::size_t node : knot.all) from = std::max(from, wait(node).seen_from);
  return from;
}

std::int64_t FamilyGraph::proved_until(const Knot& knot) const {
  const std::int64_t from = seen_from(knot);
  std::int64_t until = INT64_MAX;
  const std::vector<const Told*> processes = members(knot);
  for (const Told* told : processes) until = std::min(until, told->looks[0].begin);
  const bool all_looked = std::all_of(processes.begin(), processes.end(), [&](const Told* told) {
    return std::any_of(std::begin(told->looks), std::end(told->looks),
                       [&](const Told::Look& look) { return look.begin >= from && look.end <= until; });
  });
  return all_looked ? until : 0;
}

std::size_t FamilyGraph::victim(const Knot& knot) const {
  const auto rank = [this](std::size_t node) {
    const ToldWait& it = wait(node);
    return std::tuple{it.context != 0, it.can_throw, it.since, told_by(node).process, it.context};
  };
  return *std::max_element(knot.circle.begin(), knot.circle.end(), [&](std::size_t a, std::size_t b) { return rank(a) < rank(b); });
}

FarDeadlock FamilyGraph::describe(const Knot& knot, std::size_t victim) const {
  FarDeadlock found;
  std::vector<std::size_t> order{victim};
  const auto add = [&](std::size_t node) {
    if (wait(node).context != 0 && std::find(order.begin(), order.end(), node) == order.end()) order.push_back(node);
  };
  // Along the circle, from the victim on; then the others that it depends on.
  const auto at = std::find(knot.circle.begin(), knot.circle.end(), victim);
  std::for_each(at, knot.circle.end(), add);
  std::for_each(knot.circle.begin(), at, add);
  std::for_each(knot.all.begin(), knot.all.end(), add);
  for (const std::size_t node : order) {
    const ToldWait& it = wait(node);
    found.members.push_back({{.who = name(node), .object = it.object, .kind = it.kind, .since = it.since, .callers = {}},
                             names_of_holders(node)});
  }
  for (const std::size_t node : knot.circle) {
    const ToldWait& it = wait(node);
    // The end of a process may take more or fewer of its contexts from look to look.
    if (it.context != 0) found.circle += mark_of_wait(mark_of_wait(told_by(node).process, it.context), it.epoch);
  }
  found.headline = std::to_string(order.size()) + " contexts of " + std::to_string(members(knot).size()) +
                   " processes wait for each other";
  return found;
}

std::span<const FarHolder> FamilyGraph::holders(std::size_t node) const {
  return std::span{told_by(node).holders}.subspan(wait(node).first_holder, wait(node).holders);
}

// 0: he tells nothing. Of several that have had his number the one who tells still.
std::uint64_t FamilyGraph::id_of(const FarHolder& holder) const {
  const Told* best = nullptr;
  for (const Told& told : all_) {
    if (is_meant(holder.process, told.process) && (!best || told.looks[0].begin > best->looks[0].begin)) best = &told;
  }
  if (!best) return 0;
  const auto found = ids_.find(std::pair{static_cast<std::size_t>(best - all_.data()), holder.context});
  return found == ids_.end() ? 0 : found->second;
}

std::string FamilyGraph::name(std::size_t node) const { return wait(node).who + (" of " + process_text(told_by(node))); }

// The end of a process is an act of its contexts.
void FamilyGraph::collect_names(std::size_t node, std::vector<std::string>& names) const {
  for (const std::uint64_t holder : waits_[node].holders) {
    if (holder == 0) continue;
    if (wait(holder - 1).context == 0) {
      collect_names(holder - 1, names);
    } else if (std::string one = name(holder - 1); std::find(names.begin(), names.end(), one) == names.end()) {
      names.push_back(std::move(one));
    }
  }
}

std::string FamilyGraph::names_of_holders(std::size_t node) const {
  std::vector<std::string> names;
  collect_names(node, names);
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMostNames); ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kMostNames) text += " and " + std::to_string(names.size() - kMostNames) + " more";
  return text;
}

}  // namespace weft::process::detail
