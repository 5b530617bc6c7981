// Compiled without ThreadSanitizer's instrumentation: it looks at the stack of a running thread.

#include "engine/stall.hpp"

#include <dlfcn.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "engine/immortal.hpp"
#include "engine/symbols.hpp"
#include "engine/worker.hpp"
#include "port/futex.hpp"
#include "port/own_memory.hpp"
#include "port/stack_memory.hpp"

namespace weft::detail {

namespace {

constexpr std::size_t kMostFrames = 6;
constexpr std::size_t kMostWords = 512;
constexpr std::int64_t kReportedWithoutPlaceAfter = 1'000'000'000;

struct Place {
  std::uintptr_t instruction = 0;
  std::uintptr_t stack = 0;
};

// A thread that runs is asked by a signal, one that sleeps in the kernel is not: a signal would cut its sleep short.
std::atomic<int> asked{0};  // its number: who answers a former question late says nothing
std::atomic<std::uint32_t> answered{0};
std::atomic<std::uintptr_t> answer_instruction{0};
std::atomic<std::uintptr_t> answer_stack{0};

void on_question(int, siginfo_t*, void* context) {
  if (::gettid() != asked.load(std::memory_order_relaxed)) return;
#if defined(__x86_64__)
  const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  answer_instruction.store(static_cast<std::uintptr_t>(registers[REG_RIP]), std::memory_order_relaxed);
  answer_stack.store(static_cast<std::uintptr_t>(registers[REG_RSP]), std::memory_order_relaxed);
#elif defined(__aarch64__)
  const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext;
  answer_instruction.store(registers.pc, std::memory_order_relaxed);
  answer_stack.store(registers.sp, std::memory_order_relaxed);
#endif
  answered.store(1, std::memory_order_release);
  port::futex_wake(port::futex_word(answered));
}

// SIGURG is ignored by default, so that asking a thread that has meanwhile gone on does nothing.
bool signal_is_ours() {
  struct sigaction former {};
  if (::sigaction(SIGURG, nullptr, &former) != 0) return false;
  if (former.sa_flags & SA_SIGINFO) return former.sa_sigaction == on_question;
  if (former.sa_handler != SIG_DFL) return false;
  struct sigaction action {};
  action.sa_sigaction = on_question;
  action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
  return ::sigaction(SIGURG, &action, nullptr) == 0;
}

bool ask_running_thread(int thread, Place& place) {
  if (!signal_is_ours()) return false;
  answered.store(0, std::memory_order_relaxed);
  asked.store(thread, std::memory_order_relaxed);
  if (::syscall(SYS_tgkill, ::getpid(), thread, SIGURG) != 0) return false;
  port::futex_wait(port::futex_word(answered), 0, Deadline::after(std::chrono::milliseconds{20}));
  if (answered.load(std::memory_order_acquire) == 0) return false;
  place = {answer_instruction.load(std::memory_order_relaxed), answer_stack.load(std::memory_order_relaxed)};
  return true;
}

// "NUMBER ARGUMENTS... STACK INSTRUCTION" for a thread in a system call, "running" otherwise: proc(5).
bool look_up(int thread, Place& place) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/syscall", thread);
  std::FILE* file = std::fopen(path, "re");
  if (!file) return ask_running_thread(thread, place);
  char line[256] = {};
  const bool read = std::fgets(line, sizeof line, file) != nullptr;
  std::fclose(file);
  if (!read || std::strncmp(line, "running", 7) == 0) return ask_running_thread(thread, place);
  const char* last = std::strrchr(line, ' ');
  if (!last || last == line) return false;
  const char* before = last - 1;
  while (before > line && *before != ' ') --before;
  place.stack = std::strtoull(before, nullptr, 16);
  place.instruction = std::strtoull(last, nullptr, 16);
  return true;
}

// Between a library's segments there may be nothing, and a word on a stack may point there.
template <std::size_t Size>
bool copy_code(std::uintptr_t from, unsigned char (&code)[Size]) {
  return port::read_own_memory(from, code, Size);
}

const void* library_of(std::uintptr_t address) {
  Dl_info info{};
  return ::dladdr(reinterpret_cast<void*>(address), &info) != 0 ? info.dli_fbase : nullptr;
}

bool follows_a_call(std::uintptr_t address) {
#if defined(__x86_64__)
  const auto library = reinterpret_cast<std::uintptr_t>(library_of(address));
  if (library == 0 || address < library + 8) return false;
  unsigned char code[7] = {};
  if (!copy_code(address - sizeof code, code)) return false;
  const auto before = [&](int distance) { return code[7 - distance]; };
  return before(5) == 0xE8 || before(2) == 0xFF || before(3) == 0xFF || before(6) == 0xFF || before(7) == 0xFF;
#else
  return library_of(address) != nullptr;
#endif
}

// By which calls leave a library: a jump to where a table says.
bool is_in_linkage_table(std::uintptr_t instruction) {
#if defined(__x86_64__)
  unsigned char code[7] = {};
  if (!copy_code(instruction, code)) return false;
  constexpr unsigned char kEndBranch[] = {0xF3, 0x0F, 0x1E, 0xFA};
  const unsigned char* jump = code;
  if (std::memcmp(jump, kEndBranch, sizeof kEndBranch) == 0) jump += sizeof kEndBranch;
  if (*jump == 0xF2) ++jump;
  return jump[0] == 0xFF && jump[1] == 0x25;
#else
  (void)instruction;
  return false;
#endif
}

// Whether the call before `frame` can have led to `inner`. A call by its address leads out of a library through the linkage table only;
// what a function has never written of its frame may hold a return address of former calls. (Or by a jump at a function's end: such a
// frame is left out here, and so always.)
bool may_lead_to(std::uintptr_t frame, std::uintptr_t inner) {
#if defined(__x86_64__)
  if (library_of(frame) == library_of(inner)) return true;
  unsigned char call[5] = {};
  if (!copy_code(frame - sizeof call, call) || call[0] != 0xE8) return true;
  std::int32_t distance = 0;
  std::memcpy(&distance, call + 1, sizeof distance);
  return is_in_linkage_table(frame + static_cast<std::uintptr_t>(static_cast<std::intptr_t>(distance)));
#else
  (void)frame, (void)inner;
  return true;
#endif
}

// Not an unwinding, which a running thread does not hold still for: words on its stack that point behind a call.
std::vector<std::uintptr_t> callers(const Stall& stall) {
  std::vector<std::uintptr_t> found;
  for (const std::uintptr_t word : stall.words) {
    if (found.size() == kMostFrames) break;
    if (word > 4096 && follows_a_call(word)) found.push_back(word);
  }
  return found;
}

// A fiber that is in a greenlet, which may end at any moment, and its stack go back to the system: through the kernel, a page at a
// time, as what follows the last may be a guard.
std::vector<std::uintptr_t> copy_stack_of_greenlet(std::uintptr_t stack) {
  std::vector<std::uintptr_t> words(kMostWords);
  const std::uintptr_t begin = stack & ~std::uintptr_t{7};
  const std::uintptr_t page_end = (begin / port::page_bytes() + 1) * port::page_bytes();
  const std::size_t wanted = kMostWords * sizeof(std::uintptr_t);
  const std::size_t first = std::min<std::size_t>(page_end - begin, wanted);
  iovec here{words.data(), wanted};
  iovec there[] = {{reinterpret_cast<void*>(begin), first}, {reinterpret_cast<void*>(page_end), wanted - first}};
  const ssize_t copied = ::process_vm_readv(::getpid(), &here, 1, there, 2, 0);
  words.resize(copied > 0 ? static_cast<std::size_t>(copied) / sizeof(std::uintptr_t) : 0);
  return words;
}

// Of another thread's stack, redzones and all: not for AddressSanitizer.
__attribute__((no_sanitize("address"))) std::vector<std::uintptr_t> copy_stack(const FiberContext& fiber, std::uintptr_t stack) {
  std::vector<std::uintptr_t> words;
  const auto bottom = reinterpret_cast<std::uintptr_t>(fiber.stack.bottom) + port::page_bytes();
  const auto top = reinterpret_cast<std::uintptr_t>(fiber_context_place(fiber.stack));
  if (stack < bottom || stack >= top) return fiber.greenlets ? copy_stack_of_greenlet(stack) : words;
  for (std::uintptr_t at = stack & ~std::uintptr_t{7}; at + 8 <= top && words.size() < kMostWords; at += 8) {
    const std::uintptr_t word = *reinterpret_cast<const volatile std::uintptr_t*>(at);
    words.push_back(word);
  }
  return words;
}

bool is_of_a_system_library(std::uintptr_t address) {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(address), &info) == 0) return true;
  const char* slash = std::strrchr(info.dli_fname, '/');
  const char* file = slash ? slash + 1 : info.dli_fname;
  for (const char* name : {"libc.so", "libstdc++.so", "libc++.so", "libm.so", "linux-vdso", "ld-linux"}) {
    if (std::strncmp(file, name, std::strlen(name)) == 0) return true;
  }
  return false;
}

// Who called the function of the program that does not come to an end: inside that function the instruction moves about, and
// so does what it calls of the C library. 0: unknown.
std::uintptr_t place_of(const Stall& stall, const std::vector<std::uintptr_t>& frames) {
  std::uintptr_t inner = stall.instruction;
  bool inside = inner != 0 && !is_of_a_system_library(inner) && !is_in_linkage_table(inner);
  for (const std::uintptr_t frame : frames) {
    if (inner != 0 && !may_lead_to(frame, inner)) continue;
    inner = frame;
    if (is_of_a_system_library(frame)) continue;
    if (inside) return frame;
    inside = true;
  }
  return frames.empty() ? 0 : frames.back();
}

constinit Immortal<std::vector<std::uintptr_t>> reported;  // the monitor's alone

bool seen_before(std::uintptr_t place) {
  for (const std::uintptr_t known : reported.value) {
    if (known == place) return true;
  }
  reported.value.push_back(place);
  return false;
}

std::string name_of(const FiberContext& fiber) {
  return fiber.name.empty() ? "Fiber-" + std::to_string(fiber.id) : fiber.name.get();
}

}  // namespace

void forget_stalls() noexcept { ::new (&reported.value) std::vector<std::uintptr_t>; }

std::optional<Stall> look_at_stall(const Worker& worker, std::int64_t nanoseconds) noexcept {
  const FiberContext* fiber = worker.running();
  if (!fiber) return std::nullopt;
  Stall stall;
  stall.fiber_id = fiber->id;
  stall.fiber = name_of(*fiber);
  stall.nanoseconds = nanoseconds;
  Place place;
  if (look_up(worker.thread_id(), place)) {
    stall.instruction = place.instruction;
    stall.words = copy_stack(*fiber, place.stack);
  }
  // A busy machine may not let the thread answer in time. It is asked again, while there is reason to.
  if (stall.words.empty() && nanoseconds < kReportedWithoutPlaceAfter) return std::nullopt;
  return stall;
}

void report(const Stall& stall) noexcept {
  const std::vector<std::uintptr_t> frames = callers(stall);
  // A place that could not be learned may be the one that this fiber was reported for already.
  const std::uintptr_t place = place_of(stall, frames);
  const bool fiber_is_known = seen_before(stall.fiber_id);
  if (place != 0 ? seen_before(place) : fiber_is_known) return;
  std::string text = "weft: fiber \"" + stall.fiber + "\" has kept its worker from all other fibers for " +
                     std::to_string(stall.nanoseconds / 1'000'000) +
                     " ms; call weft::yield() in long loops, and blocking functions through weft::blocking()\n";
  if (stall.instruction != 0) text += "  at " + symbol(stall.instruction) + "\n";
  for (const std::uintptr_t frame : frames) text += "  called from " + symbol(frame) + "\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace weft::detail
