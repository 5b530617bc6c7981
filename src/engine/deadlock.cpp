#include "engine/deadlock.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <iterator>
#include <unordered_map>

#include "engine/far_watch.hpp"
#include "engine/symbols.hpp"
#include "engine/thread_context.hpp"
#include "port/cpu_time.hpp"

namespace weft::detail {

namespace {

constexpr std::int64_t kGrace = 50'000'000;      // younger waits are not looked at
constexpr std::int64_t kLookEvery = 50'000'000;
constexpr std::int64_t kShareOfTime = 50;        // looking takes at most this part of one processor
constexpr std::size_t kMostListed = 32;

constexpr std::size_t kNobody = SIZE_MAX;

/// For each wait the waits of its holders; empty where one of them does not wait.
using Edges = std::vector<std::vector<std::size_t>>;

Edges edges_among(const std::vector<SeenWait>& waits) {
  std::unordered_map<std::uint64_t, std::size_t> by_id;
  for (std::size_t i = 0; i < waits.size(); ++i) by_id.emplace(waits[i].id, i);
  Edges edges(waits.size());
  for (std::size_t i = 0; i < waits.size(); ++i) {
    for (const std::uint64_t holder : waits[i].holders) {
      const auto found = by_id.find(holder);
      if (found == by_id.end()) {
        edges[i].clear();
        break;
      }
      edges[i].push_back(found->second);
    }
  }
  return edges;
}

/// What remains when all are taken away, again and again, of whose holders one is not among the rest.
std::vector<bool> stuck_ones(const Edges& edges) {
  Edges waited_for_by(edges.size());
  std::vector<bool> stuck(edges.size(), true);
  std::vector<std::size_t> freed;
  for (std::size_t i = 0; i < edges.size(); ++i) {
    for (const std::size_t holder : edges[i]) waited_for_by[holder].push_back(i);
    if (edges[i].empty()) {
      stuck[i] = false;
      freed.push_back(i);
    }
  }
  while (!freed.empty()) {
    const std::size_t free = freed.back();
    freed.pop_back();
    for (const std::size_t waiter : waited_for_by[free]) {
      if (!stuck[waiter]) continue;
      stuck[waiter] = false;
      freed.push_back(waiter);
    }
  }
  return stuck;
}

/// Everything that the waits of a circle depend on.
std::vector<std::size_t> foundation(const std::vector<std::size_t>& circle, const Edges& edges) {
  std::vector<bool> reached(edges.size(), false);
  std::vector<std::size_t> open = circle;
  std::vector<std::size_t> all;
  while (!open.empty()) {
    const std::size_t at = open.back();
    open.pop_back();
    if (reached[at]) continue;
    reached[at] = true;
    all.push_back(at);
    open.insert(open.end(), edges[at].begin(), edges[at].end());
  }
  return all;
}

bool is_confirmed(const std::vector<SeenWait>& all) {
  const auto is_so = [&](Compare what) {
    return std::all_of(all.begin(), all.end(), [what](const SeenWait& seen) { return still_waits(seen, what); });
  };
  return is_so(Compare::WaitAndHolders) && is_so(Compare::Wait);
}

std::string seconds(std::int64_t nanoseconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s", static_cast<double>(std::max<std::int64_t>(nanoseconds, 0)) / 1e9);
  return text;
}

std::string names_of_holders(const SeenWait& seen, const std::unordered_map<std::uint64_t, std::string>& names) {
  std::string text;
  for (const std::uint64_t holder : seen.holders) {
    if (!text.empty()) text += ", ";
    const auto found = names.find(holder);
    text += holder == seen.id ? "itself" : found == names.end() ? "context " + std::to_string(holder) : found->second;
  }
  return text;
}

std::string line(const WaitStory& story, const std::string& holders, std::int64_t now, const CallPlaces& places) {
  std::string text = "\n  " + story.who + "  waits " + seconds(now - story.since) + " for ";
  text += story.object;
  if (story.kind == WaitKind::Join) text += ' ' + holders;
  if (const std::string place = places.of(story.callers); !place.empty()) text += "  at " + place;
  if (!holders.empty() && story.kind != WaitKind::Join) {
    const bool is_work = story.kind == WaitKind::Future || story.kind == WaitKind::Room || story.kind == WaitKind::Process ||
                         story.kind == WaitKind::Work;
    text += (is_work ? ", which needs " : ", held by ") + holders;
  }
  return text;
}

std::string headline(std::size_t contexts) {
  return contexts == 1 ? "a context waits for itself" : std::to_string(contexts) + " contexts wait for each other";
}

/// The circle, and behind it whoever else would have to be stuck, and is: other workers of a full pool.
WaitReport describe(std::vector<SeenWait> all, const std::vector<SeenWait>& involved, std::int64_t now,
                    const WaitReport::Signature& signature) {
  const auto is_known = [&](const SeenWait& seen) {
    return std::any_of(all.begin(), all.end(), [&](const SeenWait& known) { return known.id == seen.id; });
  };
  for (const SeenWait& seen : involved) {
    if (!is_known(seen)) all.push_back(seen);
  }
  std::vector<WaitStory> stories;
  std::unordered_map<std::uint64_t, std::string> names;
  for (const SeenWait& seen : all) {
    stories.push_back(tell(seen));
    names.emplace(seen.id, stories.back().who);
  }
  WaitReport report{headline(all.size()), now, signature};
  for (std::size_t i = 0; i < all.size(); ++i) report.add(std::move(stories[i]), names_of_holders(all[i], names));
  return report;
}

bool blocked_before(const SeenWait& a, const SeenWait& b) {
  return a.since != b.since ? a.since < b.since : a.id < b.id;
}

/// The one that closed the circle; if it may not throw, the last of those that may.
const SeenWait& victim_of(const std::vector<SeenWait>& circle) {
  return *std::max_element(circle.begin(), circle.end(), [](const SeenWait& a, const SeenWait& b) {
    return a.can_throw != b.can_throw ? b.can_throw : blocked_before(a, b);
  });
}

std::uint64_t mark_of(const std::vector<SeenWait>& circle) {
  std::uint64_t sum = 0;
  for (const SeenWait& seen : circle) sum += mark_of_wait(seen.id, seen.epoch);
  return sum;
}

std::vector<SeenWait> those(const std::vector<std::size_t>& indices, const std::vector<SeenWait>& waits) {
  std::vector<SeenWait> all;
  for (const std::size_t index : indices) all.push_back(waits[index]);
  return all;
}

/// Of several processes: only of the victim, which is here, more is known than what was published.
WaitReport describe(const FarDeadlock& found, const SeenWait& victim, std::int64_t now, const WaitReport::Signature& signature) {
  WaitReport report{found.headline, now, signature};
  for (const FarDeadlock::Member& member : found.members) {
    WaitStory story = member.story;
    if (&member == &found.members.front()) story.callers = tell(victim).callers;
    report.add(std::move(story), member.holders);
  }
  return report;
}

std::vector<std::vector<std::size_t>> circles_in(const Edges& edges) {
  const std::vector<bool> stuck = stuck_ones(edges);
  std::vector<std::size_t> visited_from(edges.size(), kNobody);
  std::vector<std::vector<std::size_t>> circles;
  for (std::size_t start = 0; start < edges.size(); ++start) {
    std::size_t at = start;
    while (stuck[at] && visited_from[at] == kNobody) {
      visited_from[at] = start;
      at = edges[at].front();
    }
    if (!stuck[at] || visited_from[at] != start) continue;  // led to what is known already
    std::vector<std::size_t> circle;
    for (std::size_t next = at; circle.empty() || next != at; next = edges[next].front()) circle.push_back(next);
    circles.push_back(std::move(circle));
  }
  return circles;
}

}  // namespace

std::vector<std::vector<std::size_t>> find_circles(const std::vector<SeenWait>& waits) {
  return circles_in(edges_among(waits));
}

std::vector<Knot> find_knots(const std::vector<SeenWait>& waits) {
  const Edges edges = edges_among(waits);
  std::vector<Knot> knots;
  for (auto& circle : circles_in(edges)) {
    std::vector<std::size_t> all = foundation(circle, edges);
    knots.push_back({std::move(circle), std::move(all)});
  }
  return knots;
}

std::vector<bool> find_stuck(const std::vector<SeenWait>& waits) { return stuck_ones(edges_among(waits)); }

namespace {

constinit std::atomic<FarWatch*> watch_of_others{nullptr};

}  // namespace

void set_far_watch(FarWatch& watch) noexcept { watch_of_others.store(&watch, std::memory_order_release); }
FarWatch* far_watch() noexcept { return watch_of_others.load(std::memory_order_acquire); }

std::string WaitReport::text() const {
  std::string text = headline_;
  const CallPlaces places;
  for (const Line& one : lines_) text += line(one.story, one.holders, now_, places);
  return text + ending_;
}

const DeadlockWatch::Reported* DeadlockWatch::reported(const WaitReport::Signature& signature) const {
  const auto found = std::find_if(reported_.begin(), reported_.end(),
                                  [&](const Reported& one) { return one.signature == signature; });
  return found == reported_.end() ? nullptr : &*found;
}

void DeadlockWatch::remember(const WaitReport::Signature& signature, std::string text) {
  reported_.push_back({signature, std::move(text), Deadline::now_nanoseconds()});
  next_look_ = 0;
}

std::vector<WaitReport> DeadlockWatch::look(const std::vector<Scheduler*>& schedulers, std::int64_t now) {
  if (now < next_look_) return {};
  looked_at_ = now - kGrace;
  const std::int64_t begin = port::thread_cpu_nanoseconds();
  const std::vector<SeenWait> waits = held_up(schedulers, looked_at_);
  std::vector<FarDeadlock> beyond;
  if (FarWatch* const others = far_watch()) {
    const bool any = std::any_of(waits.begin(), waits.end(), [](const SeenWait& seen) { return !seen.far.empty(); });
    const OthersMayAct others_act = any ? others_may_act(schedulers, waits) : OthersMayAct::Yes;
    is_unclear_ = others_act == OthersMayAct::Unclear;
    OwnLook own{.begin = now, .waits = waits, .nobody_else = others_act == OthersMayAct::No};
    own.end = Deadline::now_nanoseconds();
    beyond = others->look(own);
  }
  const std::int64_t took = port::thread_cpu_nanoseconds() - begin;
  next_look_ = now + std::max(kLookEvery, took * kShareOfTime);
  forget_what_is_over(waits);
  std::vector<WaitReport> fresh = look_here(waits, now);
  std::vector<WaitReport> fresh_beyond = look_beyond(waits, beyond, now);
  std::move(fresh_beyond.begin(), fresh_beyond.end(), std::back_inserter(fresh));
  return fresh;
}

void DeadlockWatch::forget_what_is_over(const std::vector<SeenWait>& waits) {
  std::erase_if(reported_, [&](const Reported& one) {
    return std::none_of(waits.begin(), waits.end(), [&](const SeenWait& seen) {
      return seen.id == one.signature.victim && seen.epoch == one.signature.epoch;
    });
  });
}

std::vector<WaitReport> DeadlockWatch::look_here(const std::vector<SeenWait>& waits, std::int64_t now) const {
  std::vector<WaitReport> fresh;
  for (const Knot& knot : find_knots(waits)) {
    const std::vector<SeenWait> involved = those(knot.all, waits);
    if (!is_confirmed(involved)) continue;
    const std::vector<SeenWait> circle = those(knot.circle, waits);
    const SeenWait& victim = victim_of(circle);
    const WaitReport::Signature signature{victim.id, victim.epoch, mark_of(circle)};
    if (const Reported* known = reported(signature)) {
      if (deadlock_policy() == DeadlockPolicy::Throw && victim.can_throw) {
        (void)interrupt_for_deadlock(*victim.context, victim.id, victim.epoch, known->text);
      }
    } else {
      fresh.push_back(describe(circle, involved, now, signature));
    }
  }
  return fresh;
}

std::vector<WaitReport> DeadlockWatch::look_beyond(const std::vector<SeenWait>& waits, const std::vector<FarDeadlock>& deadlocks,
                                                   std::int64_t now) const {
  std::vector<WaitReport> fresh;
  for (const FarDeadlock& found : deadlocks) {
    const SeenWait& victim = waits[found.victim];
    const WaitReport::Signature signature{victim.id, victim.epoch, found.circle};
    if (const Reported* known = reported(signature)) {
      // What was proved before the report went out may have been resolved meanwhile.
      if (known->at <= found.proved_until && deadlock_policy() == DeadlockPolicy::Throw && victim.can_throw) {
        (void)interrupt_for_deadlock(*victim.context, victim.id, victim.epoch, known->text);
      }
    } else {
      fresh.push_back(describe(found, victim, now, signature));
    }
  }
  return fresh;
}

std::optional<WaitReport> DeadlockWatch::look_for_standstill(const std::vector<Scheduler*>& schedulers, std::int64_t now) {
  const std::int64_t after = standstill_reported_after();
  if (after == 0) return std::nullopt;
  const Standstill standstill = detail::look_for_standstill(schedulers);
  if (!standstill.complete || standstill.blocked == 0 || standstill.fingerprint != fingerprint_) {
    fingerprint_ = standstill.complete ? standstill.fingerprint : 0;
    still_since_ = now;
    told_ = false;
    return std::nullopt;
  }
  if (told_ || now - still_since_ < after) return std::nullopt;
  told_ = true;
  WaitReport report{"SUSPECTED deadlock: nothing has moved for " + seconds(now - still_since_) + ", and " +
                        std::to_string(standstill.blocked) + " contexts wait",
                    now};
  for (const SeenWait& seen : all_blocked(schedulers, kMostListed)) report.add(tell(seen), {});
  if (standstill.blocked > kMostListed) {
    report.set_ending("\n  and " + std::to_string(standstill.blocked - kMostListed) + " more");
  }
  return report;
}

}  // namespace weft::detail
