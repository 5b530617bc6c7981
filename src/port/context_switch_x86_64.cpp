#include "port/context_switch.hpp"

#if defined(__x86_64__) && !defined(WEFT_BOOST_CONTEXT)

#include <cstdint>

#include "port/context_frame.hpp"

// Layout of a saved context, from the saved stack pointer up:
//   mxcsr (4), x87 control word (2), padding (2), r15, r14, r13, r12, rbx, rbp, return address
// The switch returns by `ret`, so that the processor's return predictor stays in step with the calls.
// Of mxcsr only the control bits (0xffc0) belong to the callee-saved state (System V ABI, 3.2.3).
asm(R"(
.text
.globl weft_switch_context
.type weft_switch_context,@function
.align 16
weft_switch_context:
    .cfi_startproc
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movl (%rsp), %ecx
    movzwl 4(%rsp), %r8d
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    xorl (%rsi), %ecx
    testl $0xffc0, %ecx
    jne 1f
    cmpw 4(%rsi), %r8w
    jne 1f
2:  addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    movq %rdx, %rax
    ret
1:  ldmxcsr (%rsi)
    fldcw 4(%rsi)
    jmp 2b
    .cfi_endproc
.size weft_switch_context, .-weft_switch_context

.globl weft_context_entry
.type weft_context_entry,@function
.align 16
weft_context_entry:
    .cfi_startproc
    .cfi_undefined rip
    movq %rax, %rdi
    callq *%rbx
    ud2
    .cfi_endproc
.size weft_context_entry, .-weft_context_entry
)");

extern "C" void weft_context_entry();

namespace weft::port {

namespace {

struct Saved {
  std::uint32_t mxcsr;
  std::uint16_t x87_control;
  std::uint16_t padding;
  std::uint64_t r15, r14, r13, r12, rbx, rbp;
  std::uint64_t return_address;
};

// All exceptions masked, round to nearest, extended precision (System V ABI, 3.4.1).
constexpr std::uint32_t kInitialMxcsr = 0x1F80;
constexpr std::uint16_t kInitialX87 = 0x037F;

}  // namespace

void reset_floating_point() noexcept {
  std::uint32_t mxcsr = 0;
  std::uint16_t x87 = 0;
  asm volatile("stmxcsr %0" : "=m"(mxcsr));
  asm volatile("fnstcw %0" : "=m"(x87));
  if (((mxcsr ^ kInitialMxcsr) & 0xFFC0) == 0 && x87 == kInitialX87) return;
  asm volatile("ldmxcsr %0" ::"m"(kInitialMxcsr));
  asm volatile("fldcw %0" ::"m"(kInitialX87));
}

void* make_context(void* top, void (*entry)(void*)) {
  auto* saved = fresh_frame<Saved>(top);
  saved->mxcsr = kInitialMxcsr;
  saved->x87_control = kInitialX87;
  saved->rbx = reinterpret_cast<std::uintptr_t>(entry);
  saved->return_address = reinterpret_cast<std::uintptr_t>(&weft_context_entry);
  return saved;
}

}  // namespace weft::port

#endif
