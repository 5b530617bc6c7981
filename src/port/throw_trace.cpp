// How the place of a throw is learned, of an exception that is caught far from it.
//
// An exception unwinds in two phases. The first walks the stack, changes nothing, and asks each frame's *personality routine* whether
// the frame will catch; only when one has said yes, the second one destroys the frames. So a frame whose personality never says yes,
// but looks, sees the stack as it was at the throw, all the calls below it: and only for exceptions that nothing below it catches.
// Nothing is intercepted, and nothing happens while nobody throws. That the search can be used so is an idea of cpptrace's from_current(),
// which gets itself asked in another way, by the type that a handler names.
//
// The frame must be assembly: a compiler gives each function its language's personality.

#include "port/throw_trace.hpp"

#if defined(__x86_64__) || defined(__aarch64__)

#include <unwind.h>

// The trace stands in a register that calls preserve: the unwinder knows its value in this frame. Hidden names, so that the
// unwind table's reference to the personality, relative to itself, is right in a shared library too.
#if defined(__x86_64__)
#define WEFT_TRACE_REGISTER 3  // rbx, as DWARF numbers it
asm(R"(
.text
.globl weft_watch_call
.hidden weft_watch_call
.type weft_watch_call,@function
.align 16
weft_watch_call:
    .cfi_startproc
    .cfi_personality 0x1b, weft_see_throw
    pushq %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq %rsp, %rbp
    .cfi_def_cfa_register %rbp
    pushq %rbx
    .cfi_offset %rbx, -24
    subq $8, %rsp
    movq %rdx, %rbx
    movq %rdi, %rax
    movq %rsi, %rdi
    callq *%rax
    movq -8(%rbp), %rbx
    .cfi_restore %rbx
    leave
    .cfi_restore %rbp
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_endproc
.size weft_watch_call, .-weft_watch_call
)");
#else
#define WEFT_TRACE_REGISTER 19  // x19
asm(R"(
.text
.globl weft_watch_call
.hidden weft_watch_call
.type weft_watch_call,%function
.align 4
weft_watch_call:
    .cfi_startproc
    .cfi_personality 0x1b, weft_see_throw
    stp x29, x30, [sp, #-32]!
    .cfi_def_cfa_offset 32
    .cfi_offset x29, -32
    .cfi_offset x30, -24
    mov x29, sp
    .cfi_def_cfa_register x29
    str x19, [sp, #16]
    .cfi_offset x19, -16
    mov x19, x2
    mov x9, x0
    mov x0, x1
    blr x9
    ldr x19, [sp, #16]
    .cfi_restore x19
    ldp x29, x30, [sp], #32
    .cfi_restore x29
    .cfi_restore x30
    .cfi_def_cfa sp, 0
    ret
    .cfi_endproc
.size weft_watch_call, .-weft_watch_call
)");
#endif

extern "C" {
[[gnu::visibility("hidden")]] void weft_watch_call(void (*call)(void*), void* argument,
                                                   weft::port::ThrowTrace* trace);
[[gnu::visibility("hidden"), gnu::used]] _Unwind_Reason_Code weft_see_throw(int version,
                                                                            _Unwind_Action actions,
                                                                            _Unwind_Exception_Class kind,
                                                                            _Unwind_Exception* exception,
                                                                            _Unwind_Context* context);
}

namespace weft::port {

namespace {

struct Walk {
  ThrowTrace& trace;
  _Unwind_Word end;  // the canonical frame address of the frame that watches
};

_Unwind_Reason_Code note_frame(_Unwind_Context* context, void* argument) {
  Walk& walk = *static_cast<Walk*>(argument);
  if (_Unwind_GetCFA(context) == walk.end) return _URC_END_OF_STACK;
  int is_before_instruction = 0;
  const auto address = static_cast<std::uintptr_t>(_Unwind_GetIPInfo(context, &is_before_instruction));
  // Of a frame that a signal interrupted: what follows the instruction, as with calls.
  return walk.trace.add(is_before_instruction ? address + 1 : address) ? _URC_NO_REASON : _URC_END_OF_STACK;
}

}  // namespace

void watch_call(void (*call)(void*), void* argument, ThrowTrace& trace) {
  trace.clear();
  weft_watch_call(call, argument, &trace);
}

}  // namespace weft::port

_Unwind_Reason_Code weft_see_throw(int, _Unwind_Action actions, _Unwind_Exception_Class, _Unwind_Exception*,
                                   _Unwind_Context* context) {
  if (actions & _UA_SEARCH_PHASE) {
    auto& trace = *reinterpret_cast<weft::port::ThrowTrace*>(_Unwind_GetGR(context, WEFT_TRACE_REGISTER));
    trace.clear();
    weft::port::Walk walk{trace, _Unwind_GetCFA(context)};
    (void)_Unwind_Backtrace(weft::port::note_frame, &walk);
  }
  return _URC_CONTINUE_UNWIND;
}

#else

namespace weft::port {

void watch_call(void (*call)(void*), void* argument, ThrowTrace& trace) {
  trace.clear();
  call(argument);
}

}  // namespace weft::port

#endif
