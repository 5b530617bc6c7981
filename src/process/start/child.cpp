// What happens in a child, from its first moment to its last.

#include "process/start/child.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <weft/base/error.hpp>
#include <weft/thread/interrupt.hpp>

#include "engine/descriptor.hpp"
#include "port/context_switch.hpp"
#include "port/sanitizer.hpp"
#include "port/stack_memory.hpp"
#include "port/throw_trace.hpp"
#include "process/memory/own_names.hpp"
#include "process/sending/parcel_socket.hpp"
#include "process/sending/thrown_stack.hpp"
#include "process/start/lifeline.hpp"
#include "process/start/process_state.hpp"
#include "process/start/processes.hpp"
#include "process/start/standard_streams.hpp"
#include "process/sync/wait_board.hpp"
#include "thread/threads.hpp"

namespace weft::detail {

namespace {

// ---- the end -----------------------------------------------------------------------------------------------------------

// Static objects of a forked child are copies: their destructors would remove the parent's files and wait for the parent's threads.
[[noreturn]] void leave_quickly(int code) noexcept {
  flush_standard_ostreams();
  std::fflush(nullptr);
  process::detail::unlink_own_names();
  ::_exit(code);
}

// Threads and children first, as at the end of a main().
[[noreturn]] void end_child(int code, WayOut way_out) noexcept {
  if (way_out == WayOut::Exit) std::exit(code);
  Threads::all().end_main(*Threads::all().main());
  leave_quickly(code);
}

// exit() calls what was registered last first: what the child itself has registered or made static, then this, and nothing that it has
// from its parent.
void leave_quickly_at_exit() noexcept {
  (void)::on_exit(
      [](int code, void*) {
        Threads::all().wait_for_non_daemons();
        leave_quickly(code);
      },
      nullptr);
}

void report(const char* what, const std::exception_ptr& failure, const port::ThrowTrace& thrown) noexcept {
  std::string text = "weft: process \"" + Processes::all().current()->name() + "\" ended with " + describe(failure) + what + '\n';
  try {
    text += describe_calls(thrown.callers()) + describe_nested(failure);
  } catch (...) {
    // There is no memory to read debug information.
  }
  std::fflush(stdout);
  std::fputs(text.c_str(), stderr);
}

/// Its exit code.
template <class Body>
int run_guarded(const char* context, Body body) noexcept {
  port::ThrowTrace thrown;
  try {
    port::watch_throw(thrown, body);
    return 0;
  } catch (const KeyboardInterrupt& interrupt) {
    end_by_signal(interrupt.signal());
  } catch (const Cancelled&) {
    return 1;
  } catch (...) {
    report(context, std::current_exception(), thrown);
    return 1;
  }
}

// ---- the beginning -----------------------------------------------------------------------------------------------------

std::shared_ptr<ProcessState> make_parent(std::string name, pid_t pid, int lifeline) {
  return std::make_shared<ProcessState>(ProcessState::Kind::Parent, std::move(name), pid,
                                        Descriptor::adopt(lifeline, Descriptor::Nature::OtherStream));
}

// ---- a stack of full size ----------------------------------------------------------------------------------------------

constexpr std::size_t kLeastStack = std::size_t{1} << 20, kMostStack = std::size_t{64} << 20, kUsualStack = std::size_t{8} << 20;

std::size_t full_stack_bytes() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_STACK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) return kUsualStack;
  const std::size_t page = port::page_bytes();
  return std::clamp<std::size_t>(limit.rlim_cur, kLeastStack, kMostStack) / page * page;
}

/// Calls main(argument), which does not return, where a main program would have its stack. On the present one without memory for that.
[[noreturn]] void go_on_with_full_stack(void (*main)(void*), void* argument) noexcept {
  port::StackSlab slab = port::map_stacks(full_stack_bytes(), 1);
  if (slab.memory) {
    port::guard_stacks(slab, 1);
    static port::SanitizerState former, fresh;  // of this process's only thread
    port::sanitizer_adopt_thread(former, nullptr, 0);  // nobody comes back to it
    port::sanitizer_begin(fresh, slab.memory + port::page_bytes(), slab.stack_bytes - port::page_bytes());
    static std::pair<void (*)(void*), void*> start;
    start = {main, argument};
    void* saved = nullptr;
    void* loaded = port::make_context(slab.memory + slab.stack_bytes, [](void*) {
      port::sanitizer_after_switch(fresh);
      start.first(start.second);
    });
    port::sanitizer_before_switch(former, fresh, true);
    port::weft_switch_context(&saved, loaded, nullptr);
  }
  main(argument);
  std::abort();
}

}  // namespace

// As Python does.
void close_standard_input() noexcept {
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (nothing < 0) return;
  ::dup2(nothing, STDIN_FILENO);
  if (nothing != STDIN_FILENO) ::close(nothing);
}

void live_forked(ProcessState& state, Process* object, int lifeline, bool on_fiber) noexcept {
  live_no_longer_than(lifeline);
  leave_quickly_at_exit();
  struct Life {
    ProcessState& state;
    Process* object;
  } life{state, object};
  const auto live = [](void* argument) {
    const Life& it = *static_cast<Life*>(argument);
    end_child(run_guarded("", [&] { it.state.run(it.object); }), WayOut::QuickExit);
  };
  const int refused = run_guarded(", before it began", [&] {
    const std::shared_ptr<ProcessState> former = Processes::all().current();
    auto parent = make_parent(former->name(), ::getppid(), lifeline);
    state.become_current();
    Processes::all().become(state.shared_from_this(), std::move(parent));
    close_standard_input();
  });
  if (refused != 0) end_child(refused, WayOut::QuickExit);
  if (on_fiber) go_on_with_full_stack(live, &life);
  live(&life);
  std::abort();
}

void live_sent(int socket, WayOut way_out) noexcept {
  if (way_out == WayOut::QuickExit) leave_quickly_at_exit();
  std::optional<ReceivedParcel> parcel;
  UniqueFunction<void()> work;
  const int refused = run_guarded(", as it received what to do", [&] {
    parcel = receive_parcel(socket);
    if (!parcel) ::_exit(1);  // the parent has ended, or could not go on: nobody waits for this process
    ::close(socket);
    process::Incoming in{parcel->bytes, std::move(parcel->descriptors)};
    const int lifeline = in.take_descriptor().release();
    live_no_longer_than(lifeline);
    Birth birth = in.receive<Birth>();
    if (birth.has_waits) process::detail::WaitBoard::adopt(in.take_descriptor());
    if (!birth.folder.empty() && ::chdir(birth.folder.c_str()) < 0) {
      // Removed, or out of reach: where the program was started is as good as any.
    }
    auto state = std::make_shared<ProcessState>(std::move(birth.name), std::move(birth.number), birth.daemon);
    Processes::all().become(std::move(state), make_parent(std::move(birth.parent_name), birth.parent, lifeline));
    Processes::all().inherit(std::move(birth.authkey), birth.default_method);
    const auto receive = reinterpret_cast<ReceiveWork>(receive_function(in));
    work = receive(in);
  });
  if (refused != 0) end_child(refused, way_out);
  const int code = run_guarded("", [&] { work(); });
  // What it was given, with its destructors: but not those that would be called on a stack that is gone.
  work = nullptr;
  end_child(code, way_out);
}

}  // namespace weft::detail
