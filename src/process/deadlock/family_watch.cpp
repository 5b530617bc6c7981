// The search for deadlocks that span processes of a family: what this process tells, and what it makes of what all tell.
//
// Everybody comes to the same circle and the same victim. Its process alone reports it and, once it has been proved anew for a time after
// the report, ends the wait.

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/deadlock.hpp"
#include "engine/far_watch.hpp"
#include "engine/fork.hpp"
#include "engine/thread_context.hpp"
#include "process/deadlock/family_graph.hpp"
#include "process/deadlock/family_watch.hpp"
#include "process/deadlock/far_holders.hpp"
#include "process/start/processes.hpp"
#include "process/sync/wait_board.hpp"

namespace weft::process::detail {

using weft::detail::FarDeadlock;
using weft::detail::FarHolder;
using weft::detail::FarWatch;
using weft::detail::Knot;
using weft::detail::OwnLook;
using weft::detail::SeenWait;
using weft::detail::Wait;
using weft::detail::WaitStory;

namespace {

constexpr std::int64_t kFresh = 150'000'000;       // looks of a process that is awake are not farther apart, but for a busy machine
constexpr std::int64_t kTooOldToTell = 1'000'000'000;
constexpr std::int64_t kYoung = 5'000'000'000;     // one that lasts, as it is only reported, keeps nobody awake

template <std::size_t Size>
void write(char (&to)[Size], const std::string& text) noexcept {
  std::memset(to, 0, Size);
  std::memcpy(to, text.data(), std::min(text.size(), Size - 1));
}

// ---- what is to be told ---------------------------------------------------------------------------------------------

/// Those that lead to another process, and do not end at a context that may go on.
std::vector<std::size_t> leading_out(const std::vector<SeenWait>& waits) {
  constexpr std::uint64_t kOut = UINT64_MAX;
  std::vector<SeenWait> local(waits.size() + 1);
  for (std::size_t i = 0; i < waits.size(); ++i) {
    local[i].id = waits[i].id;
    local[i].holders = waits[i].far.empty() ? waits[i].holders : std::vector<std::uint64_t>{kOut};
  }
  local.back().id = kOut;
  local.back().holders = {kOut};
  const std::vector<bool> stuck = weft::detail::find_stuck(local);
  std::vector<std::size_t> found;
  bool any = false;
  for (std::size_t i = 0; i < waits.size() && found.size() < WaitBoard::kMostWaits - 1; ++i) {
    if (!stuck[i]) continue;
    found.push_back(i);
    any = any || !waits[i].far.empty();
  }
  if (!any) found.clear();
  return found;
}

bool is_of_main_thread(const SeenWait& seen) noexcept {
  return !seen.context->is_fiber() &&
         static_cast<const weft::detail::ThreadContext*>(seen.context)->thread_id.load(std::memory_order_relaxed) == ::getpid();
}

/// What is told at one look, in the making.
class Text {
 public:
  Text(const Told& former, const OwnLook& own) : former_{former}, own_{own} {
    told_.process = this_process_stamp();
    std::copy(std::begin(former.name), std::end(former.name), std::begin(told_.name));
    told_.looks[0] = {own.begin, own.end};
    std::copy_n(std::begin(former.looks), Told::kLooks - 1, std::begin(told_.looks) + 1);
  }

  void add(const SeenWait& seen) {
    ToldWait wait{.context = seen.id, .epoch = seen.epoch, .since = seen.since, .can_throw = seen.can_throw};
    std::vector<FarHolder> holders = seen.far;
    for (const std::uint64_t holder : seen.holders) holders.push_back({told_.process, holder});
    add(wait, holders, &seen);
  }

  /// Nobody else can do anything: so the process ends by an act of one of these.
  void add_end(const std::vector<std::size_t>& indices) {
    if (indices.size() != own_.waits.size()) return;  // there are more than can be told
    ToldWait wait{};
    std::vector<FarHolder> holders;
    for (const SeenWait& seen : own_.waits) {
      // The same when they are the same contexts in the same waits.
      wait.epoch += weft::detail::mark_of_wait(seen.id, seen.epoch);
      wait.since = std::max(wait.since, seen.since);
      holders.insert(is_of_main_thread(seen) ? holders.begin() : holders.end(), {told_.process, seen.id});
    }
    add(wait, holders, nullptr);
  }

  [[nodiscard]] Told take() { return std::move(told_); }
  /// Whether it says anything but that there was another look.
  [[nodiscard]] bool is_news() const noexcept { return is_news_ || told_.waits.size() != former_.waits.size(); }

 private:
  void add(ToldWait wait, const std::vector<FarHolder>& holders, const SeenWait* seen) {
    if (told_.holders.size() + holders.size() > WaitBoard::kMostHolders) return;
    wait.first_holder = static_cast<std::uint32_t>(told_.holders.size());
    wait.holders = static_cast<std::uint32_t>(holders.size());
    told_.holders.insert(told_.holders.end(), holders.begin(), holders.end());
    if (const ToldWait* known = find_former(wait, holders)) {
      wait.seen_from = known->seen_from;
      wait.kind = known->kind;
      std::memcpy(wait.who, known->who, sizeof wait.who);
      std::memcpy(wait.object, known->object, sizeof wait.object);
    } else {
      is_news_ = true;
      wait.seen_from = own_.end;
      if (seen) {
        const WaitStory story = weft::detail::tell_briefly(*seen);
        wait.kind = story.kind;
        write(wait.who, story.who);
        write(wait.object, story.object);
      }
    }
    told_.waits.push_back(wait);
  }

  [[nodiscard]] const ToldWait* find_former(const ToldWait& wait, const std::vector<FarHolder>& holders) const {
    for (const ToldWait& known : former_.waits) {
      if (known.context != wait.context || known.epoch != wait.epoch) continue;
      const auto begin = former_.holders.begin() + known.first_holder;
      return std::equal(begin, begin + known.holders, holders.begin(), holders.end()) ? &known : nullptr;
    }
    return nullptr;
  }

  const Told& former_;
  const OwnLook& own_;
  Told told_;
  bool is_news_ = false;
};

// ---- what is made of it -----------------------------------------------------------------------------------------------------------

class FamilyWatch final : public FarWatch {
 public:
  std::vector<FarHolder> holders_of(const Wait& wait) override { return far_holders_of(wait); }

  std::vector<FarDeadlock> look(const OwnLook& own) override {
    const std::vector<std::size_t> indices = leading_out(own.waits);
    if ((indices.empty() && told_.waits.empty()) || !sit_down()) return {};
    bell_seen_ = board_->bell(*seat_).load(std::memory_order_acquire);  // first: who rings from now on is heard
    const bool news = tell(own, indices);
    if (indices.empty()) return {};
    std::vector<Told> others;
    seats_.clear();
    for (std::size_t seat = 0; seat < board_->seats(); ++seat) {
      if (seat == *seat_) continue;
      std::optional<Told> told = board_->read(seat);
      if (!told || told->process == told_.process) continue;
      if (news && concerns(*told)) board_->ring(seat);
      seats_[told->process] = seat;
      others.push_back(std::move(*told));
    }
    others.push_back(told_);
    return search(FamilyGraph{std::move(others)}, own);
  }

  Bell bell() const noexcept override {
    if (!seat_ || told_.waits.empty()) return {};
    return {&board_->bell(*seat_), bell_seen_};
  }

  /// In a child of fork(): what was told is the parent's.
  void forget() noexcept {
    board_ = nullptr;
    seat_.reset();
    told_ = {};
    seats_.clear();
  }

 private:
  bool sit_down() {
    if (seat_) return true;
    board_ = WaitBoard::of_family();
    if (board_) seat_ = board_->take_seat();
    return seat_.has_value();
  }

  bool tell(const OwnLook& own, const std::vector<std::size_t>& indices) {
    Text text{told_, own};
    for (const std::size_t index : indices) text.add(own.waits[index]);
    if (own.nobody_else && !indices.empty()) text.add_end(indices);
    const bool news = text.is_news();
    told_ = text.take();
    if (news) weft::detail::Processes::all().copy_name_if_free(told_.name);
    board_->tell(*seat_, told_);
    return news;
  }

  /// Whether one of the two waits for the other, or might.
  [[nodiscard]] bool concerns(const Told& other) const {
    const auto points = [](const Told& from, const Told& to) {
      return std::any_of(from.holders.begin(), from.holders.end(),
                         [&](const FarHolder& holder) { return is_meant(holder.process, to.process); });
    };
    return points(told_, other) || points(other, told_);
  }

  std::vector<FarDeadlock> search(const FamilyGraph& graph, const OwnLook& own) {
    std::vector<FarDeadlock> found;
    for (const Knot& knot : graph.knots()) {
      const std::size_t victim = graph.victim(knot);
      const bool is_ours = graph.told_by(victim).process == told_.process;
      const std::int64_t proved_until = graph.proved_until(knot);
      const std::vector<const Told*> members = graph.members(knot);
      if (proved_until == 0 || is_ours) {
        wake_up(members, own.begin);
      } else if (own.begin - graph.seen_from(knot) < kYoung) {
        wake_up({&graph.told_by(victim)}, own.begin);  // it is for its process to report, which may have seen less
      }
      if (proved_until == 0 || !is_ours || own.begin - proved_until > kTooOldToTell || is_anybody_gone(members)) continue;
      const auto here = std::find_if(own.waits.begin(), own.waits.end(),
                                     [&](const SeenWait& seen) { return seen.id == graph.wait(victim).context; });
      if (here == own.waits.end()) continue;
      FarDeadlock deadlock = graph.describe(knot, victim);
      deadlock.victim = static_cast<std::size_t>(here - own.waits.begin());
      deadlock.proved_until = proved_until;
      found.push_back(std::move(deadlock));
    }
    return found;
  }

  /// Those who have not looked for a while, as nothing has stirred there.
  void wake_up(const std::vector<const Told*>& members, std::int64_t now) {
    for (const Told* told : members) {
      if (told->process == told_.process || now - told->looks[0].begin < kFresh) continue;
      if (const auto seat = seats_.find(told->process); seat != seats_.end()) board_->ring(seat->second);
    }
  }

  [[nodiscard]] bool is_anybody_gone(const std::vector<const Told*>& members) const {
    return std::any_of(members.begin(), members.end(), [this](const Told* told) {
      return told->process != told_.process && process_is_gone(told->process);
    });
  }

  WaitBoard* board_ = nullptr;
  std::optional<std::size_t> seat_;
  std::uint32_t bell_seen_ = 0;
  Told told_;
  std::map<ProcessStamp, std::size_t> seats_;
};

// Never destroyed: the monitor uses it to the end.
FamilyWatch& watch() noexcept {
  static FamilyWatch& instance = *new FamilyWatch;
  return instance;
}

weft::detail::ForkHook fork_hook{.before = []() noexcept {},
                                 .after = [](bool in_child) noexcept {
                                   if (in_child) watch().forget();
                                 }};
// And made early: of a local static variable a child of fork() could find the guard taken.
[[maybe_unused]] const bool fork_is_prepared = ((void)watch(), weft::detail::add_fork_hook(fork_hook), true);

}  // namespace

void watch_family() noexcept { weft::detail::set_far_watch(watch()); }

}  // namespace weft::process::detail
