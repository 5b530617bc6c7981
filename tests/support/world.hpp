#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <weft/detail/context.hpp>
#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/sync/event.hpp>

#include "engine/spin_lock.hpp"
#include "support/eventually.hpp"
#include "support/leaks.hpp"

namespace weft::test {

/// What the contexts of a conformance test are.
struct WorldKind {
  enum class Of { Threads, Fibers, Mixed };
  Of of;
  unsigned workers;
  bool roaming;  // fibers change workers at every wake-up, instead of staying together on one that keeps up with them
  const char* name;
};
inline constexpr WorldKind kThreads{WorldKind::Of::Threads, 0, false, "Threads"};
inline constexpr WorldKind kFibers1{WorldKind::Of::Fibers, 1, false, "FibersOn1Worker"};
inline constexpr WorldKind kFibers2{WorldKind::Of::Fibers, 2, false, "FibersOn2Workers"};
inline constexpr WorldKind kFibers4{WorldKind::Of::Fibers, 4, false, "FibersOn4Workers"};
inline constexpr WorldKind kRoaming{WorldKind::Of::Fibers, 2, true, "RoamingFibers"};
inline constexpr WorldKind kMixed{WorldKind::Of::Mixed, 2, false, "ThreadsAndFibers"};

void PrintTo(const WorldKind& kind, std::ostream* out);

/// How the body of a spawned context ended.
enum class Ending { Running, Returned, Cancelled, Threw };

/// Something that runs a piece of a test and can block: a thread or a fiber. A handle that is dropped joins.
class Runner {
 public:
  Runner() = default;
  Runner(Runner&&) noexcept = default;
  Runner& operator=(Runner&&) noexcept = default;
  ~Runner();

  /// Waits for the end of the body. When it does not end in time the program is aborted: its body refers to the test's
  /// own variables.
  Ending join();
  [[nodiscard]] bool done() const;
  [[nodiscard]] bool is_fiber() const;
  /// Asks it to end, as Fiber::kill() does; threads too.
  void kill();

  /// What it waits for at this moment; None when it runs. Once it says Lock, it stands in the lock's list.
  [[nodiscard]] detail::WaitKind waits_in() const;
  [[nodiscard]] bool soon_waits_in(detail::WaitKind kind) const;
  /// The ids of those whose act its wait needs, as far as they are known.
  [[nodiscard]] std::vector<std::uint64_t> waits_for() const;

 private:
  friend class World;
  struct Shared {
    std::function<void()> body;
    mutable detail::SpinLock lock;
    detail::Context* context = nullptr;  // while the body runs; guarded by lock
    bool killed = false;                 // guarded by lock
    std::atomic<Ending> ending{Ending::Running};
    Event ended;
    bool on_fiber = false;
    void run();
  };

  std::shared_ptr<Shared> shared_;
  std::thread thread_;
  Fiber<void> fiber_;
};

/// A place where contexts of one kind, or of both in turn, can be spawned. Fibers of a one-worker runtime are driven by a
/// thread of their own.
class World {
 public:
  explicit World(WorldKind kind);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] const WorldKind& kind() const { return kind_; }
  [[nodiscard]] Runner spawn(std::function<void()> body);
  [[nodiscard]] std::vector<Runner> spawn_many(int count, const std::function<void(int)>& body);

 private:
  [[nodiscard]] bool next_is_fiber();

  WorldKind kind_;
  std::unique_ptr<Runtime> runtime_;
  Event over_;
  std::thread driver_;
  std::atomic<unsigned> spawned_{0};
};

void join_all(std::vector<Runner>& runners);
/// Waits until each of them blocks in an operation of this kind.
[[nodiscard]] bool soon_all_wait_in(const std::vector<Runner>& runners, detail::WaitKind kind);

/// A test whose body, passed to in_world(), runs in a context of each kind.
class InEveryWorld : public LeakFree, public testing::WithParamInterface<WorldKind> {
 protected:
  void in_world(const std::function<void(World&)>& body);
};

std::string world_name(const testing::TestParamInfo<WorldKind>& info);

#define WEFT_IN_EVERY_WORLD(suite)                                                                                      \
  INSTANTIATE_TEST_SUITE_P(Contexts, suite,                                                                             \
                           testing::Values(weft::test::kThreads, weft::test::kFibers1, weft::test::kFibers2,            \
                                           weft::test::kFibers4, weft::test::kRoaming, weft::test::kMixed),                                   \
                           weft::test::world_name)

}  // namespace weft::test
