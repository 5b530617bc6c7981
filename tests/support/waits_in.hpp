#pragma once

#include <atomic>

#include <weft/detail/context.hpp>

namespace weft::test {

/// What a context waits for at this moment; None while it runs. Once it says Event, it stands in the event's list, and holds no
/// lock of it. Precondition: the context has not ended.
[[nodiscard]] inline detail::WaitKind wait_of(detail::Context& context) {
  const detail::Pin pin{context};
  return pin ? pin.wait().kind : detail::WaitKind::None;
}

/// Of a fiber that says where its context is when it begins.
class Whereabouts {
 public:
  void am_here() { context_ = &detail::current_context(); }

  [[nodiscard]] bool waits_in(detail::WaitKind kind) const {
    detail::Context* context = context_;
    return context && wait_of(*context) == kind;
  }

 private:
  std::atomic<detail::Context*> context_{nullptr};
};

}  // namespace weft::test
