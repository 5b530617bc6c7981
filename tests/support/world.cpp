#include "support/world.hpp"

#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <thread>

#include "support/standstill.hpp"
#include "support/waits_in.hpp"

namespace weft::test {

namespace {

// Frames grow under the sanitizers, and GoogleTest prints from wherever an expectation fails.
constexpr std::size_t kStackBytes = 1024 * 1024;

/// If everything stands still, apart from this very wait for it, what all wait for is worth a moment more.
[[noreturn]] void tell_standstill_and_abort() {
  std::thread{[] {
    std::this_thread::sleep_for(kStandstillTold + std::chrono::seconds{5});
    std::abort();
  }}.detach();
  for (Event never;;) never.wait();
}

}  // namespace

void PrintTo(const WorldKind& kind, std::ostream* out) { *out << kind.name; }

std::string world_name(const testing::TestParamInfo<WorldKind>& info) { return info.param.name; }

// ---- Runner ----------------------------------------------------------------------------------------------------------

void Runner::Shared::run() {
  bool killed_before = false;
  {
    const std::lock_guard guard{lock};
    context = &detail::current_context();
    killed_before = killed;
  }
  if (killed_before) detail::request_cancel(detail::current_context());
  Ending how = Ending::Returned;
  try {
    body();
  } catch (const Cancelled&) {
    how = Ending::Cancelled;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "the body of a context threw: " << error.what();
    how = Ending::Threw;
  }
  {
    const std::lock_guard guard{lock};
    context = nullptr;
  }
  ending.store(how, std::memory_order_release);
  ended.set();
}

Runner::~Runner() {
  if (shared_) join();
}

Ending Runner::join() {
  if (!shared_->ended.wait_for(kPatience)) {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    std::fprintf(stderr, "%s.%s: a context did not end within %d s (it waits in %d)\n",
                 test ? test->test_suite_name() : "", test ? test->name() : "", static_cast<int>(kPatience.count()),
                 static_cast<int>(waits_in()));
    tell_standstill_and_abort();
  }
  if (thread_.joinable()) thread_.join();
  if (fiber_.valid()) {
    fiber_.join();
    fiber_ = {};
  }
  return shared_->ending.load(std::memory_order_acquire);
}

bool Runner::done() const { return shared_->ending.load(std::memory_order_acquire) != Ending::Running; }
bool Runner::is_fiber() const { return shared_->on_fiber; }

void Runner::kill() {
  const std::lock_guard guard{shared_->lock};
  shared_->killed = true;
  if (shared_->context) detail::request_cancel(*shared_->context);
}

detail::WaitKind Runner::waits_in() const {
  // Under the lock: the body has not ended, so its context exists.
  const std::lock_guard guard{shared_->lock};
  return shared_->context ? wait_of(*shared_->context) : detail::WaitKind::None;
}

std::vector<std::uint64_t> Runner::waits_for() const {
  const std::lock_guard guard{shared_->lock};
  if (!shared_->context) return {};
  const detail::Pin pin{*shared_->context};
  if (!pin || !pin.wait().holders) return {};
  std::vector<std::uint64_t> ids(16);
  ids.resize(pin.wait().holders(pin.wait().object, ids.data(), ids.size()));
  return ids;
}

bool Runner::soon_waits_in(detail::WaitKind kind) const {
  return eventually([&] { return waits_in() == kind; });
}

void join_all(std::vector<Runner>& runners) {
  for (Runner& runner : runners) runner.join();
}

bool soon_all_wait_in(const std::vector<Runner>& runners, detail::WaitKind kind) {
  for (const Runner& runner : runners) {
    if (!runner.soon_waits_in(kind)) return false;
  }
  return true;
}

// ---- World -----------------------------------------------------------------------------------------------------------

World::World(WorldKind kind) : kind_{kind} {
  if (kind.of == WorldKind::Of::Threads) return;
  runtime_ = std::make_unique<Runtime>(
      Runtime::Config{.workers = kind.workers, .stack_bytes = kStackBytes, .name = "test", .migrate_always = kind.roaming});
  if (kind.workers == 1) {
    driver_ = std::thread{[this] { runtime_->run([this] { over_.wait(); }); }};
  }
}

World::~World() {
  over_.set();
  if (driver_.joinable()) driver_.join();
}

bool World::next_is_fiber() {
  switch (kind_.of) {
    case WorldKind::Of::Threads: return false;
    case WorldKind::Of::Fibers: return true;
    case WorldKind::Of::Mixed: return spawned_.fetch_add(1, std::memory_order_relaxed) % 2 == 0;
  }
  return false;
}

Runner World::spawn(std::function<void()> body) {
  Runner runner;
  runner.shared_ = std::make_shared<Runner::Shared>();
  runner.shared_->body = std::move(body);
  runner.shared_->on_fiber = next_is_fiber();
  // The context keeps a share of its own: it may end after the handle's joining has.
  const auto start = [shared = runner.shared_] { shared->run(); };
  if (runner.shared_->on_fiber) {
    runner.fiber_ = runtime_->spawn(start);
  } else {
    runner.thread_ = std::thread{start};
  }
  return runner;
}

std::vector<Runner> World::spawn_many(int count, const std::function<void(int)>& body) {
  std::vector<Runner> runners;
  for (int i = 0; i < count; ++i) runners.push_back(spawn([body, i] { body(i); }));
  return runners;
}

void InEveryWorld::in_world(const std::function<void(World&)>& body) {
  World world{GetParam()};
  world.spawn([&] { body(world); }).join();
}

}  // namespace weft::test
