// singleton: one object for the whole program, made by whoever needs it first.
//
// To look whether it exists, and to make it if not, are two steps. Threads that all look before one of them has made it make
// several: the first version shows their addresses. A lock around both steps cures that, but everybody pays for it at
// every use, for ever. The double check takes the lock only while there is no object. C++ does the same by itself for a static
// variable of a function, but makes the whole thread wait, with all fibers on it. weft::Singleton is the double check for
// threads and fibers alike, and says so if the constructor of the object asks for the object.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <weft/fiber/fiber.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/fiber/this_fiber.hpp>
#include <weft/sync/barrier.hpp>
#include <weft/sync/lock.hpp>
#include <weft/sync/singleton.hpp>

namespace {

using namespace std::chrono_literals;

constexpr int kThreads = 5;

/// What there should be one of. It takes its time to be made, as such objects do.
struct Config {
  Config() { weft::sleep_for(10ms); }
  int answer = 42;
};

/// Asks for the instance on so many threads at once, and shows what they got.
void ask_on_threads(const char* how, const std::function<Config*()>& instance) {
  std::vector<Config*> got(kThreads);
  std::vector<std::thread> threads;
  for (Config*& mine : got) threads.emplace_back([&] { mine = instance(); });
  for (std::thread& thread : threads) thread.join();

  const std::set<Config*> addresses{got.begin(), got.end()};
  std::printf("%s: %d threads, %zu address%s\n", how, kThreads, addresses.size(), addresses.size() == 1 ? "" : "es");
  for (const Config* one : got) std::printf("  %p\n", static_cast<const void*>(one));
}

// ---- the trouble: to look and to make are two steps ----

Config* look_then_make() {
  static std::atomic<Config*> made{nullptr};
  static weft::Barrier all_have_looked{kThreads};  // the bad luck that a program has once a year, here every time
  static weft::Lock keeping;
  static std::vector<std::unique_ptr<Config>> kept;
  if (made.load() == nullptr) {
    all_have_looked.wait();
    auto mine = std::make_unique<Config>();
    made.store(mine.get());
    const std::scoped_lock lock{keeping};
    kept.push_back(std::move(mine));
    return kept.back().get();
  }
  return made.load();
}

// ---- a lock around both ----

Config* with_a_lock() {
  static weft::Lock making{"config"};
  static std::unique_ptr<Config> made;
  const std::scoped_lock lock{making};  // at every use
  if (!made) made = std::make_unique<Config>();
  return made.get();
}

// ---- the double check: the lock only while there is nothing ----

Config* with_a_double_check() {
  static std::atomic<Config*> made{nullptr};  // atomic: the first look is outside the lock
  static weft::Lock making{"config"};
  static std::unique_ptr<Config> owner;
  // Acquire and release belong together: who sees the pointer also sees what the constructor wrote.
  if (Config* one = made.load(std::memory_order_acquire)) return one;
  const std::scoped_lock lock{making};
  if (!made.load(std::memory_order_relaxed)) {  // somebody may have been faster
    owner = std::make_unique<Config>();
    made.store(owner.get(), std::memory_order_release);
  }
  return owner.get();
}

// ---- what the language does ----

Config* with_a_static_variable() {
  static Config only;  // others wait here while the first makes it
  return &only;
}

// ---- the same for fibers ----

Config* with_weft() { return &weft::Singleton<Config>::instance(); }

void ask_on_fibers() {
  std::vector<weft::Fiber<Config*>> fibers;
  for (int i = 0; i < 1000; ++i) fibers.push_back(weft::spawn(with_weft));
  std::set<Config*> addresses;
  for (auto& fiber : fibers) addresses.insert(fiber.get());
  addresses.insert(with_weft());
  std::printf("weft::Singleton again: 1000 fibers and a thread, %zu address\n", addresses.size());
}

}  // namespace

int main() {
  ask_on_threads("look, then make", look_then_make);
  ask_on_threads("a lock", with_a_lock);
  ask_on_threads("the double check", with_a_double_check);
  ask_on_threads("a static variable", with_a_static_variable);
  ask_on_threads("weft::Singleton", with_weft);
  ask_on_fibers();
}
