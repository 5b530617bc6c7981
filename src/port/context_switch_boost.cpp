#include "port/context_switch.hpp"

#if defined(WEFT_BOOST_CONTEXT)

#include <boost/context/detail/fcontext.hpp>
#include <cfenv>

// For processors without a switch of our own: slower, since the floating-point control words are loaded at every switch.
// A saved context is Boost's fcontext_t. Boost tells the one that goes on where the other stopped, not the one that stops;
// so whoever leaves says, on its own stack, where it wants to have that written.

namespace weft::port {

namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::transfer_t;

struct Passage {
  void** save;
  void* pass;
};

void* arrive(transfer_t from) {
  const Passage passage = *static_cast<const Passage*>(from.data);
  *passage.save = from.fctx;
  return passage.pass;
}

void begin(transfer_t maker) {
  auto* const entry = reinterpret_cast<void (*)(void*)>(maker.data);
  reset_floating_point();  // what the maker has set is the maker's
  // Back to make_context(); what comes next is the first switch to here.
  entry(arrive(jump_fcontext(maker.fctx, nullptr)));
  __builtin_trap();
}

}  // namespace

extern "C" void* weft_switch_context(void** save, void* load, void* pass) {
  Passage passage{save, pass};
  return arrive(jump_fcontext(static_cast<fcontext_t>(load), &passage));
}

void* make_context(void* top, void (*entry)(void*)) {
  // The size is only looked at by Boost to check that there is some.
  const fcontext_t fresh = boost::context::detail::make_fcontext(top, 4096, begin);
  return jump_fcontext(fresh, reinterpret_cast<void*>(entry)).fctx;
}

void reset_floating_point() noexcept { std::fesetenv(FE_DFL_ENV); }

}  // namespace weft::port

#elif !defined(__x86_64__) && !defined(__aarch64__)
#error "on this processor weft is built with WEFT_BOOST_CONTEXT (CMakeLists.txt)"
#endif
