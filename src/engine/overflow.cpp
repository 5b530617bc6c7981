#include "engine/overflow.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "engine/greenlets.hpp"
#include "engine/scheduler.hpp"

namespace weft::detail {

namespace {

constexpr std::size_t kSignalStack = 64 * 1024;

struct sigaction former_action;

void say(const char* text, std::size_t length) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, length);
}

void report(const FiberContext& fiber) {
  char name[48];
  char given[ContextName::kMost + 1];
  fiber.name.copy_to(given);
  if (given[0]) {
    std::snprintf(name, sizeof name, "%s", given);
  } else {
    std::snprintf(name, sizeof name, "Fiber-%llu", static_cast<unsigned long long>(fiber.id));
  }
  char text[256];
  const int length = std::snprintf(text, sizeof text,
                                   "weft: fiber \"%s\" overflowed its stack of %zu bytes; give it more by "
                                   "SpawnOptions::stack_bytes or Runtime::Config::stack_bytes\n",
                                   name, fiber.stack.bytes);
  say(text, std::min(static_cast<std::size_t>(std::max(length, 0)), sizeof text - 1));
}

void report(const GreenletHub& greenlets) {
  char name[48];
  greenlets.copy_name_of_current(name, sizeof name);
  char text[256];
  const int length = std::snprintf(text, sizeof text,
                                   "weft: greenlet \"%s\" overflowed its stack of %zu bytes; give it more by "
                                   "GreenletOptions::stack_bytes\n",
                                   name, greenlets.stack().bytes);
  say(text, std::min(static_cast<std::size_t>(std::max(length, 0)), sizeof text - 1));
}

bool overflowed(const FiberContext& fiber, const void* address) {
  const auto* at = static_cast<const std::byte*>(address);
  return at >= fiber.stack.bottom && at < fiber.stack.bottom + port::page_bytes();
}

void on_fault(int number, siginfo_t* info, void* context) {
  const Worker* worker = current_worker();
  const FiberContext* fiber = worker ? worker->running() : nullptr;
  if (fiber && overflowed(*fiber, info->si_addr)) {
    report(*fiber);
    ::signal(number, SIG_DFL);  // the faulting instruction is repeated, and is fatal
    return;
  }
  const Context* here = current_context_slot();
  if (here && here->greenlets && here->greenlets->is_overflow(info->si_addr)) {
    report(*here->greenlets);
    ::signal(number, SIG_DFL);
    return;
  }
  if (former_action.sa_flags & SA_SIGINFO) {
    former_action.sa_sigaction(number, info, context);
  } else if (former_action.sa_handler != SIG_DFL && former_action.sa_handler != SIG_IGN) {
    former_action.sa_handler(number);
  } else {
    ::signal(number, SIG_DFL);
  }
}

void install_handler() {
  static std::atomic<bool> begun{false};
  if (begun.exchange(true, std::memory_order_relaxed)) return;
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGSEGV, &action, &former_action);
}

}  // namespace

OverflowGuard::OverflowGuard() {
  install_handler();
  memory_ = ::mmap(nullptr, kSignalStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory_ == MAP_FAILED) {
    memory_ = nullptr;
    return;
  }
  stack_t stack{};
  stack.ss_sp = memory_;
  stack.ss_size = kSignalStack;
  ::sigaltstack(&stack, &former_);
}

OverflowGuard::~OverflowGuard() {
  if (!memory_) return;
  ::sigaltstack(&former_, nullptr);
  ::munmap(memory_, kSignalStack);
}

}  // namespace weft::detail
