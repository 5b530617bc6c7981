#pragma once

#include <chrono>
#include <cstdio>
#include <vector>

#include <unistd.h>

#include <weft/fiber/fiber.hpp>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/io/patch.hpp>

namespace weft::test {

/// Calls request() on so many fibers of one worker at once, says how many returned true, and how long it took.
template <class Request>
void run_crowd(int count, Request request) {
  if (!patch::active()) {
    std::puts("the patch is not active");
    return;
  }
  int done = 0;
  const auto begin = std::chrono::steady_clock::now();
  Runtime{{.workers = 1}}.run([&] {
    std::vector<Fiber<void>> fibers;
    for (int i = 0; i < count; ++i) {
      fibers.push_back(spawn([&] {
        const pid_t thread = ::gettid();
        if (request() && ::gettid() == thread) ++done;
      }));
    }
    for (auto& fiber : fibers) fiber.get();
  });
  const auto passed = std::chrono::steady_clock::now() - begin;
  std::printf("%d of %d in %ld ms\n", done, count,
              static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(passed).count()));
}

}  // namespace weft::test
