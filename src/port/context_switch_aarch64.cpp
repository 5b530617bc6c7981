#include "port/context_switch.hpp"

#if defined(__aarch64__) && !defined(WEFT_BOOST_CONTEXT)

#include <cstdint>

#include "port/context_frame.hpp"

// Layout of a saved context: x19-x28, x29, x30, d8-d15, fpcr, padding (176 bytes).
asm(R"(
.text
.globl weft_switch_context
.type weft_switch_context,%function
.align 4
weft_switch_context:
    .cfi_startproc
    sub sp, sp, #176
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mrs x9, fpcr
    str x9, [sp, #160]
    mov x10, sp
    str x10, [x0]
    mov sp, x1
    ldr x11, [sp, #160]
    cmp x9, x11
    b.eq 1f
    msr fpcr, x11
1:  ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #176
    mov x0, x2
    ret
    .cfi_endproc
.size weft_switch_context, .-weft_switch_context

.globl weft_context_entry
.type weft_context_entry,%function
.align 4
weft_context_entry:
    .cfi_startproc
    .cfi_undefined x30
    blr x19
    brk #1
    .cfi_endproc
.size weft_context_entry, .-weft_context_entry
)");

extern "C" void weft_context_entry();

namespace weft::port {

namespace {

struct Saved {
  std::uint64_t x19_to_x28[10];
  std::uint64_t x29, x30;
  std::uint64_t d8_to_d15[8];
  std::uint64_t fpcr;
  std::uint64_t padding;
};

}  // namespace

void reset_floating_point() noexcept { asm volatile("msr fpcr, %0" ::"r"(std::uint64_t{0})); }

void* make_context(void* top, void (*entry)(void*)) {
  auto* saved = fresh_frame<Saved>(top);
  saved->x19_to_x28[0] = reinterpret_cast<std::uintptr_t>(entry);
  saved->x30 = reinterpret_cast<std::uintptr_t>(&weft_context_entry);
  return saved;
}

}  // namespace weft::port

#endif
