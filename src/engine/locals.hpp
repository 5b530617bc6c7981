#pragma once

#include <weft/detail/locals.hpp>

namespace weft::detail {

/// At the end of a context, on it: destroys the values it has. Their destructors may block, but nothing interrupts that.
void end_locals(Context& self) noexcept;

/// In a forked child: `heir`, of this process, goes on as `former`.
void inherit_locals(Context& heir, Context& former) noexcept;
void lock_locals_for_fork() noexcept;
void unlock_locals_after_fork() noexcept;

}  // namespace weft::detail
