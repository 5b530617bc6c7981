#include <weft/thread/excepthook.hpp>

#include <cxxabi.h>

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <typeinfo>
#include <utility>

#include "engine/immortal.hpp"
#include "port/debug_info.hpp"
#include "thread/thread_state.hpp"

namespace weft {

namespace {

/// Null: the default. Guarded by the lock of all threads, so that a child of fork() finds it whole.
std::shared_ptr<ExceptHook>& hook_slot() noexcept {
  static constinit detail::Immortal<std::shared_ptr<ExceptHook>> slot;
  return slot.value;
}

}  // namespace

std::string detail::describe(const std::exception_ptr& exception) {
  if (!exception) return "an exception of another language";  // which current_exception() does not know
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& error) {
    return port::demangled(typeid(error).name()) + ": " + error.what();
  } catch (const char* text) {
    return text ? std::string{"a text that was thrown: "} + text : "a null pointer that was thrown";
  } catch (const std::string& text) {
    return "a std::string that was thrown: " + text;
  } catch (...) {
    const std::type_info* type = abi::__cxa_current_exception_type();
    return type ? "an exception of type " + port::demangled(type->name()) : "an exception";
  }
}

void default_excepthook(const ExceptHookArgs& args) noexcept {
  const std::string text = "weft: thread \"" + args.thread.name() + "\" ended with " + detail::describe(args.exception) + '\n';
  std::fputs(text.c_str(), stderr);
}

void set_excepthook(ExceptHook hook) {
  auto fresh = hook ? std::make_shared<ExceptHook>(std::move(hook)) : nullptr;
  const std::lock_guard guard{detail::ThreadState::threads_lock()};
  hook_slot().swap(fresh);  // the old one is destroyed without the lock
}

void detail::report_uncaught(const std::shared_ptr<ThreadState>& state, std::exception_ptr failure) noexcept {
  const Thread thread = ThreadAccess::handle(state);
  const ExceptHookArgs args{thread, std::move(failure)};
  std::shared_ptr<ExceptHook> hook;
  {
    const std::lock_guard guard{ThreadState::threads_lock()};
    hook = hook_slot();
  }
  if (!hook) return default_excepthook(args);
  try {
    (*hook)(args);
  } catch (...) {
    const std::string text = "weft: the except hook threw " + describe(std::current_exception()) + '\n';
    std::fputs(text.c_str(), stderr);
    default_excepthook(args);
  }
}

}  // namespace weft
