#include <weft/base/error.hpp>

#include "base/cause.hpp"
#include "base/remote_stack.hpp"

namespace weft {

namespace {

std::string describe(int error, const std::string& operation, const std::string& object) {
  std::string text = operation;
  if (!object.empty()) text += ' ' + object;
  return text + ": " + std::generic_category().message(error);
}

std::string describe_death(const std::string& task, const std::string& worker, int pid, int signal, int exit_code) {
  std::string text = "the worker " + worker + " (pid " + std::to_string(pid) + ") ";
  text += detail::describe_exit(signal != 0 ? -signal : exit_code);
  return text + " while it ran " + task + ", which may have been done in part; only tasks with retries are begun again";
}

}  // namespace

WorkerDied::WorkerDied(const std::string& task, const std::string& worker, int pid, int signal, int exit_code)
    : Error{describe_death(task, worker, pid, signal, exit_code)},
      task_{task},
      worker_{worker},
      pid_{pid},
      signal_{signal},
      exit_code_{exit_code} {}

RemoteError::RemoteError(std::string type, std::string message, std::string place, std::shared_ptr<const detail::RemoteStack> stack)
    : Error{type + (message.empty() ? "" : ": " + message) + ", thrown by " + place},
      type_{std::move(type)},
      message_{std::move(message)},
      place_{std::move(place)},
      stack_{std::move(stack)} {}

std::string RemoteError::stack() const { return stack_ ? stack_->text() : std::string{}; }

const RemoteError* remote_origin(const std::exception& error) noexcept {
  if (const auto* const origin = dynamic_cast<const RemoteError*>(&error)) return origin;
  const auto* const outer = dynamic_cast<const std::nested_exception*>(&error);
  if (!outer || !outer->nested_ptr()) return nullptr;
  try {
    outer->rethrow_nested();
  } catch (const std::exception& inner) {
    return remote_origin(inner);  // which `error` keeps
  } catch (...) {
    return nullptr;
  }
}

OSError::OSError(int error, std::string operation, std::string object)
    : std::system_error{error, std::generic_category()},
      operation_{std::move(operation)},
      object_{std::move(object)},
      what_{describe(error, operation_, object_)} {}

}  // namespace weft
