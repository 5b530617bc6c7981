#include "engine/idle_set.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <unordered_set>
#include <vector>

namespace weft::detail {
namespace {

// ---- the protocol, walked through in every interleaving --------------------------------------------------------------

/// Orders of the steps in which a hand-in can be overlooked. The walk must find each of them.
enum class Variant {
  AsWritten,
  LooksBeforeAnnouncing,        // S3 before S2
  SearchesUntilAsleep,          // S1 after S3
  ChoosesBeforePushing,         // H2 and H3 before H1
  AnnouncesWithoutLooking,      // no S3
  ClaimsWithoutWaking,          // no H4
  LooksAtBitBeforePushing,      // P2 before P1
  SleepsWithoutInbox,           // S3 looks at the queue only
  EveryPusherLeavesIt,          // no P3
};

/// Workers and handers-in as state machines that share a queue and an idle set. Each step is one atomic access; the
/// numbers in the comments are those of the tables in idle_set.hpp. The last `pinners` of the handers-in hand in to one worker
/// each, the others to all.
class Model {
 public:
  Model(unsigned workers, unsigned handers, Variant variant, unsigned pinners = 0)
      : workers_{workers}, handers_{handers}, pinners_{pinners}, variant_{variant} {}

  /// Whether a state can be reached in which all sleep although there is work, or in which the counts are wrong.
  /// The number of states seen is kept in states().
  bool overlooks_something() {
    State begin;
    for (unsigned w = 0; w < workers_; ++w) begin.worker[w].at = At::Take;
    if (variant_ == Variant::ChoosesBeforePushing) {
      for (unsigned h = 0; h < handers_; ++h) begin.hander[h].at = At::ChooseSearching;
    } else {
      for (unsigned h = 0; h < handers_; ++h) begin.hander[h].at = At::Push;
    }
    for (unsigned h = handers_ - pinners_; h < handers_; ++h) {
      begin.hander[h].at = variant_ == Variant::LooksAtBitBeforePushing ? At::LookAtBit : At::PushPinned;
      begin.hander[h].chosen = static_cast<std::uint8_t>(h % workers_);
    }
    std::vector<State> open{begin};
    seen_.insert(begin.packed());
    while (!open.empty()) {
      const State state = open.back();
      open.pop_back();
      bool stuck = true;
      const auto reach = [&](const State& next) {
        stuck = false;
        if (seen_.insert(next.packed()).second) open.push_back(next);
      };
      for (unsigned w = 0; w < workers_; ++w) {
        State next = state;
        if (step_of_worker(next, w)) reach(next);
      }
      for (unsigned h = 0; h < handers_; ++h) {
        State next = state;
        if (step_of_hander(next, h)) reach(next);
      }
      if (stuck && !state_is_quiet(state)) return true;
    }
    return false;
  }

  [[nodiscard]] std::size_t states() const { return seen_.size(); }

 private:
  static constexpr unsigned kMost = 3;

  enum class At : std::uint8_t {
    Take,
    MaySearch,
    StartSearching,
    StopSearching,     // S1
    ResetToken,
    Announce,          // S2
    Look,              // S3
    LookEarly,
    StopSearchingLate,
    Asleep,            // S4
    Withdraw,          // S5
    FoundSomething,
    LookForTheNext,
    Push,              // H1
    ChooseSearching,   // H2, and again after a lost claim
    ChooseSleeper,     // H3
    ChooseCount,
    ChooseClaim,
    Wake,              // H4
    Uncount,
    PushPinned,        // P1
    LookAtBit,         // P2
    WakePinned,        // P3
    Done,
  };

  struct Actor {
    At at = At::Done;
    bool searching = false;  // counted; workers only
    bool token = false;      // of a sleeping worker
    bool saw_bit = false;    // handers-in only
    std::uint8_t chosen = 0;
  };

  struct State {
    std::uint8_t queue = 0;
    std::uint8_t sleeping = 0;
    std::uint8_t searching = 0;
    std::array<std::uint8_t, kMost> inbox{};
    std::array<Actor, kMost> worker;
    std::array<Actor, kMost> hander;

    [[nodiscard]] std::uint64_t packed() const {
      std::uint64_t bits = queue | sleeping << 2 | searching << 5;
      int at = 7;
      const auto add = [&](std::uint64_t value, int width) {
        bits |= value << at;
        at += width;
      };
      for (const std::uint8_t tasks : inbox) add(tasks, 2);
      for (const auto* actors : {&worker, &hander}) {
        for (const Actor& actor : *actors) {
          add(static_cast<std::uint64_t>(actor.at), 5);
          add(actor.chosen, 2);
          if (actors == &hander) {
            add(actor.saw_bit ? 1 : 0, 1);
            continue;
          }
          add(actor.searching ? 1 : 0, 1);
          add(actor.token ? 1 : 0, 1);
        }
      }
      return bits;
    }
  };
  static_assert(7 + 3 * 2 + 3 * 9 + 3 * 8 <= 64 && static_cast<int>(At::Done) < 32);

  /// What a state in which nobody can go on must look like: all asleep, nothing to do, nobody counted.
  [[nodiscard]] bool state_is_quiet(const State& state) const {
    if (state.queue != 0 || state.searching != 0 || state.sleeping != (1u << workers_) - 1) return false;
    for (unsigned w = 0; w < workers_; ++w) {
      if (state.worker[w].at != At::Asleep || state.inbox[w] != 0) return false;
    }
    return true;
  }

  // False: it cannot go on.
  bool step_of_worker(State& s, unsigned number) const {
    Actor& self = s.worker[number];
    const auto bit = static_cast<std::uint8_t>(1u << number);
    switch (self.at) {
      case At::Take:
        if (s.inbox[number] > 0) {
          s.inbox[number] = 0;
          self.at = self.searching ? At::FoundSomething : At::Take;
        } else if (s.queue > 0) {
          --s.queue;
          self.at = self.searching ? At::FoundSomething : At::Take;
        } else {
          self.at = At::MaySearch;
        }
        return true;
      case At::MaySearch:
        self.at = !self.searching && 2u * s.searching < workers_ ? At::StartSearching : first_of_going_to_sleep(self);
        return true;
      case At::StartSearching:
        ++s.searching;
        self.searching = true;
        self.at = first_of_going_to_sleep(self);  // there is nothing to steal
        return true;
      case At::StopSearching:
        stop_searching(s, self);
        self.at = At::ResetToken;
        return true;
      case At::LookEarly:
        self.at = s.queue > 0 ? At::Take : (self.searching ? At::StopSearching : At::ResetToken);
        return true;
      case At::ResetToken:
        self.token = false;
        self.at = At::Announce;
        return true;
      case At::Announce:
        s.sleeping |= bit;
        self.at = variant_ == Variant::LooksBeforeAnnouncing || variant_ == Variant::AnnouncesWithoutLooking
                      ? At::Asleep
                      : At::Look;
        return true;
      case At::Look:
        if (s.queue > 0 || (s.inbox[number] > 0 && variant_ != Variant::SleepsWithoutInbox)) {
          self.at = At::Withdraw;
        } else {
          self.at = self.searching ? At::StopSearchingLate : At::Asleep;
        }
        return true;
      case At::StopSearchingLate:
        stop_searching(s, self);
        self.at = At::Asleep;
        return true;
      case At::Asleep:
        if (!self.token) return false;
        self.at = At::Withdraw;
        return true;
      case At::Withdraw:
        // Counted by whoever claimed the bit. (In one broken order it still counts itself.)
        self.searching = self.searching || (s.sleeping & bit) == 0;
        s.sleeping &= static_cast<std::uint8_t>(~bit);
        self.at = At::Take;
        return true;
      case At::FoundSomething: {
        const bool last = s.searching == 1;
        stop_searching(s, self);
        self.at = last ? At::LookForTheNext : At::Take;
        return true;
      }
      case At::LookForTheNext:
        self.at = s.queue > 0 ? At::ChooseSearching : At::Take;
        return true;
      default: return step_of_choose(s, self, At::Take);
    }
  }

  [[nodiscard]] At first_of_going_to_sleep(const Actor& self) const {
    if (variant_ == Variant::LooksBeforeAnnouncing) return At::LookEarly;
    if (variant_ == Variant::SearchesUntilAsleep) return At::ResetToken;
    return self.searching ? At::StopSearching : At::ResetToken;
  }

  static void stop_searching(State& s, Actor& self) {
    --s.searching;
    self.searching = false;
  }

  bool step_of_hander(State& s, unsigned number) const {
    Actor& self = s.hander[number];
    const bool push_last = variant_ == Variant::ChoosesBeforePushing;
    switch (self.at) {
      case At::Done: return false;
      case At::Push:
        ++s.queue;
        self.at = push_last ? At::Done : At::ChooseSearching;
        return true;
      case At::PushPinned: {
        const bool first = s.inbox[self.chosen]++ == 0;
        if (variant_ == Variant::LooksAtBitBeforePushing) {
          self.at = self.saw_bit ? At::WakePinned : At::Done;
        } else {
          self.at = first && variant_ != Variant::EveryPusherLeavesIt ? At::LookAtBit : At::Done;
        }
        self.saw_bit = false;
        return true;
      }
      case At::LookAtBit: {
        const bool announced = (s.sleeping & (1u << self.chosen)) != 0;
        if (variant_ == Variant::LooksAtBitBeforePushing) {
          // What it saw is part of the state: two ways to push.
          self.saw_bit = announced;
          self.at = At::PushPinned;
        } else {
          self.at = announced ? At::WakePinned : At::Done;
        }
        return true;
      }
      case At::WakePinned:
        s.worker[self.chosen].token = true;
        self.at = At::Done;
        return true;
      default: return step_of_choose(s, self, push_last ? At::Push : At::Done);
    }
  }

  /// IdleSet::choose() and what its callers do with the answer.
  bool step_of_choose(State& s, Actor& self, At afterwards) const {
    switch (self.at) {
      case At::ChooseSearching: self.at = s.searching != 0 ? afterwards : At::ChooseSleeper; return true;
      case At::ChooseSleeper:
        if (s.sleeping == 0) {
          self.at = afterwards;
        } else {
          self.chosen = static_cast<std::uint8_t>(std::countr_zero(s.sleeping));
          self.at = At::ChooseCount;
        }
        return true;
      case At::ChooseCount:
        ++s.searching;
        self.at = At::ChooseClaim;
        return true;
      case At::ChooseClaim: {
        const auto bit = static_cast<std::uint8_t>(1u << self.chosen);
        const bool won = (s.sleeping & bit) != 0;
        s.sleeping &= static_cast<std::uint8_t>(~bit);
        self.at = won ? At::Wake : At::Uncount;
        return true;
      }
      case At::Wake:
        if (variant_ != Variant::ClaimsWithoutWaking) s.worker[self.chosen].token = true;
        self.chosen = 0;
        self.at = afterwards;
        return true;
      case At::Uncount:
        --s.searching;
        self.chosen = 0;
        self.at = At::ChooseSearching;
        return true;
      default: return false;
    }
  }

  const unsigned workers_;
  const unsigned handers_;
  const unsigned pinners_;
  const Variant variant_;
  std::unordered_set<std::uint64_t> seen_;
};

TEST(IdleSetModel, NoInterleavingOverlooksAHandIn) {
  for (const auto& [workers, handers] : {std::pair{1u, 1u}, {1u, 3u}, {2u, 1u}, {2u, 2u}, {3u, 1u}, {2u, 3u}, {3u, 2u}}) {
    Model model{workers, handers, Variant::AsWritten};
    EXPECT_FALSE(model.overlooks_something()) << workers << " workers, " << handers << " handers-in";
    // The walk is not trivially short.
    EXPECT_GT(model.states(), 50u * workers * handers);
    RecordProperty("states_" + std::to_string(workers) + "_" + std::to_string(handers),
                   static_cast<int>(model.states()));
  }
}

TEST(IdleSetModel, NoInterleavingOverlooksAHandInToOneWorker) {
  struct Case {
    unsigned workers, handers, pinners;
  };
  for (const auto& [workers, handers, pinners] :
       {Case{1, 1, 1}, {1, 3, 3}, {1, 3, 2}, {2, 2, 2}, {2, 3, 1}, {2, 3, 2}, {2, 3, 3}, {3, 2, 1}}) {
    Model model{workers, handers, Variant::AsWritten, pinners};
    EXPECT_FALSE(model.overlooks_something()) << workers << " workers, " << handers << " handers-in, " << pinners << " to one";
    EXPECT_GT(model.states(), 20u * workers * handers);
  }
}

TEST(IdleSetModel, WalkFindsEveryBrokenOrder) {
  for (const Variant variant :
       {Variant::LooksBeforeAnnouncing, Variant::SearchesUntilAsleep, Variant::ChoosesBeforePushing,
        Variant::AnnouncesWithoutLooking, Variant::ClaimsWithoutWaking}) {
    Model model{2, 2, variant};
    EXPECT_TRUE(model.overlooks_something()) << "variant " << static_cast<int>(variant);
  }
  for (const Variant variant :
       {Variant::LooksAtBitBeforePushing, Variant::SleepsWithoutInbox, Variant::EveryPusherLeavesIt}) {
    Model model{2, 2, variant, 1};
    EXPECT_TRUE(model.overlooks_something()) << "variant " << static_cast<int>(variant);
  }
}

// ---- the class itself ------------------------------------------------------------------------------------------------

TEST(IdleSet, SleeperIsChosenOnceAndThenCountsAsSearching) {
  IdleSet idle;
  EXPECT_EQ(idle.choose(-1), -1);  // nobody sleeps
  idle.announce(5);
  EXPECT_TRUE(idle.perhaps_sleeping());
  EXPECT_EQ(idle.sleeping(), std::uint64_t{1} << 5);
  EXPECT_EQ(idle.choose(-1), 5);
  EXPECT_EQ(idle.sleeping(), 0u);
  EXPECT_EQ(idle.searching(), 1u);
  EXPECT_TRUE(idle.withdraw(5));  // somebody claimed it
  EXPECT_TRUE(idle.stop_searching());
}

TEST(IdleSet, WorkerThatWakesByItselfIsNotCounted) {
  IdleSet idle;
  idle.announce(0);
  EXPECT_FALSE(idle.withdraw(0));
  EXPECT_EQ(idle.searching(), 0u);
  EXPECT_EQ(idle.choose(-1), -1);
}

TEST(IdleSet, NobodyIsWokenWhileSomebodySearches) {
  IdleSet idle;
  idle.announce(1);
  idle.start_searching();
  EXPECT_EQ(idle.choose(-1), -1);
  idle.start_searching();
  EXPECT_FALSE(idle.stop_searching());  // not the last
  EXPECT_TRUE(idle.stop_searching());
  EXPECT_EQ(idle.choose(-1), 1);
}

TEST(IdleSet, AvoidedWorkerIsChosenOnlyAsTheLast) {
  IdleSet idle;
  idle.announce(0);
  idle.announce(63);
  EXPECT_EQ(idle.choose(0), 63);
  idle.stop_searching();
  EXPECT_EQ(idle.choose(0), 0);
}

}  // namespace
}  // namespace weft::detail
