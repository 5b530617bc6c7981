#include <weft/base/error.hpp>

#include "base/cause.hpp"

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

RemoteError::RemoteError(std::string type, std::string message, std::string place)
    : Error{type + (message.empty() ? "" : ": " + message) + ", thrown by " + place},
      type_{std::move(type)},
      message_{std::move(message)},
      place_{std::move(place)} {}

OSError::OSError(int error, std::string operation, std::string object)
    : std::system_error{error, std::generic_category()},
      operation_{std::move(operation)},
      object_{std::move(object)},
      what_{describe(error, operation_, object_)} {}

}  // namespace weft
