#pragma once

#include <cstddef>

namespace weft::port {

/// Saves the callee-saved registers and the stack pointer of the running stack in `*save`, and goes on where `load` was
/// saved. Returns, on the stack that was left, when somebody switches back to it: the `pass` of that switch.
///
/// Three implementations: x86-64, aarch64, and Boost.Context for all others (or with WEFT_BOOST_CONTEXT).
///
/// The floating-point control words travel with the stack; they are reloaded only when they differ, because loading
/// them costs more than the rest of the switch.
extern "C" void* weft_switch_context(void** save, void* load, void* pass);

/// Prepares a stack that ends at `top` so that the first switch to it calls entry(pass), which must not return.
[[nodiscard]] void* make_context(void* top, void (*entry)(void*));

/// Gives the calling stack the floating-point control words every new context starts with: those of a new process.
void reset_floating_point() noexcept;

}  // namespace weft::port
