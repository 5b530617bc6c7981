#pragma once

namespace weft::port {

/// Whether a thread of this process that is not weft's is one of ThreadSanitizer's own: it starts one with a program's first thread,
/// and another in a child of fork().
[[nodiscard]] bool is_sanitizer_thread(int thread) noexcept;

}  // namespace weft::port
