#include <weft/sync/scope.hpp>

namespace weft {

// Not in the header, nor to be inlined: std::stop_callback looks at errno, whose address a compiler would keep across the switches
// to other threads of a fiber's own function.
[[gnu::noinline]] CancelScope::CancelScope(std::stop_token token) : context_{detail::current_context()} {
  callback_.emplace(std::move(token), Stop{*this});
}

[[gnu::noinline]] CancelScope::~CancelScope() {
  callback_.reset();  // waits while another thread is inside it
  if (stopped_) detail::forget_stopped_scope(context_);
}

void CancelScope::Stop::operator()() const noexcept {
  scope.stopped_ = true;
  detail::stop_scope(scope.context_);
}

}  // namespace weft
