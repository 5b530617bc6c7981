#include "process/remote_failure.hpp"

#include <cxxabi.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <type_traits>
#include <typeinfo>
#include <variant>

#include <weft/base/error.hpp>
#include <weft/process/sendable.hpp>

#include "process/thrown_stack.hpp"

namespace weft::detail {

namespace {

// The codes are the positions in this list: what both sides, of one build, agree on.
template <class... E>
struct Types {};

/// Made of what() alone.
using FromText = Types<std::runtime_error, std::logic_error, std::invalid_argument, std::out_of_range, std::domain_error,
                       std::length_error, std::range_error, std::overflow_error, std::underflow_error, Error, TimeoutError,
                       CancelledError, ShutDown, InvalidStateError, DeadlockError, BrokenBarrierError, BrokenExecutor, ProtocolError>;
/// Made of nothing.
using FromNothing = Types<std::bad_alloc, std::bad_array_new_length, std::bad_optional_access, std::bad_variant_access, std::bad_cast,
                          std::bad_typeid, std::bad_function_call, std::bad_exception, std::exception>;

/// An exception of such a type that came from another process. Nested in it is a RemoteError, which says from where.
template <class E>
class FromElsewhere final : public E, public std::nested_exception {
 public:
  /// In the handler of that RemoteError.
  explicit FromElsewhere(E error) : E(std::move(error)) {}
};

/// Exactly of this type, here or elsewhere.
template <class E>
bool is_of(const std::type_info& type) {
  return type == typeid(E) || type == typeid(FromElsewhere<E>);
}

enum class Form : std::uint8_t { Text, Nothing, System, Os, Died, Unknown };
enum class Category : std::uint8_t { Generic, System, Other };

template <class... E>
std::optional<std::uint8_t> position(const std::type_info& type, Types<E...>) {
  std::uint8_t at = 0;
  const bool found = ((is_of<E>(type) ? true : (++at, false)) || ...);
  return found ? std::optional{at} : std::nullopt;
}

template <class Make, class... E>
std::exception_ptr make_at(std::uint8_t at, Make make, Types<E...>) {
  std::exception_ptr made;
  std::uint8_t i = 0;
  (void)((i++ == at ? (made = make.template operator()<E>(), true) : false) || ...);
  return made;
}

void send_form(process::Outgoing& out, Form form) { out(static_cast<std::uint8_t>(form)); }

void send_system_error(process::Outgoing& out, const std::system_error& error) {
  const auto& category = error.code().category();
  send_form(out, Form::System);
  out(error.code().value(),
      static_cast<std::uint8_t>(category == std::generic_category()  ? Category::Generic
                                : category == std::system_category() ? Category::System
                                                                     : Category::Other),
      std::string{error.what()});
}

// Without a place: it was thrown by the task itself, which the receiver knows better.
void send_unknown(process::Outgoing& out, const std::string& type, const std::string& message, const std::string& place = {}) {
  send_form(out, Form::Unknown);
  out(type, message, place);
}

/// A std::system_error that says what the other said: its constructors would add the code's text to that once more.
class SystemErrorFromElsewhere : public std::system_error {
 public:
  SystemErrorFromElsewhere(std::error_code code, std::string what) : std::system_error{code}, what_{std::move(what)} {}
  [[nodiscard]] const char* what() const noexcept override { return what_.c_str(); }

 private:
  std::string what_;
};

void send_standard(process::Outgoing& out, const std::exception& error) {
  const std::type_info& type = typeid(error);
  if (const auto at = position(type, FromText{})) {
    send_form(out, Form::Text);
    out(*at, std::string{error.what()});
  } else if (const auto nothing = position(type, FromNothing{})) {
    send_form(out, Form::Nothing);
    out(*nothing);
  } else if (is_of<OSError>(type)) {
    const auto& os = static_cast<const OSError&>(error);
    send_form(out, Form::Os);
    out(os.errno_value(), os.operation(), os.object());
  } else if (is_of<std::system_error>(type) || is_of<SystemErrorFromElsewhere>(type)) {
    send_system_error(out, static_cast<const std::system_error&>(error));
  } else if (is_of<WorkerDied>(type)) {
    const auto& died = static_cast<const WorkerDied&>(error);
    send_form(out, Form::Died);
    out(died.task(), died.worker(), died.pid(), died.signal(), died.exit_code());
  } else if (is_of<RemoteError>(type)) {
    const auto& remote = static_cast<const RemoteError&>(error);
    send_unknown(out, remote.type(), remote.message(), remote.place());
  } else {
    send_unknown(out, readable_type(type.name()), error.what());
  }
}

/// Where an exception came from.
struct Origin {
  std::function<std::string()> place;
  std::shared_ptr<const RemoteStack> stack;

  template <class E>
  [[nodiscard]] std::exception_ptr make(E error, const char* type = typeid(E).name()) const {
    try {
      throw RemoteError{readable_type(type), error.what(), place(), stack};
    } catch (const RemoteError&) {
      return std::make_exception_ptr(FromElsewhere<E>{std::move(error)});
    }
  }
  [[nodiscard]] std::exception_ptr make_unknown(std::string type, std::string message, std::string where) const {
    if (where.empty()) where = place();
    return std::make_exception_ptr(RemoteError{std::move(type), std::move(message), std::move(where), stack});
  }
};

std::exception_ptr receive_system_error(process::Incoming& in, const Origin& origin) {
  const int value = in.receive<int>();
  const auto category = static_cast<Category>(in.receive<std::uint8_t>());
  const auto what = in.receive<std::string>();
  const std::error_code code{value, category == Category::Generic ? std::generic_category() : std::system_category()};
  // A category of the user's is an object of the other process's.
  if (category == Category::Other) return origin.make_unknown("std::system_error", what, {});
  return origin.make(SystemErrorFromElsewhere{code, what}, typeid(std::system_error).name());
}

}  // namespace

std::string readable_type(const char* mangled) {
  int status = 0;
  char* const name = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  const std::string text = name ? name : mangled;
  std::free(name);
  return text;
}

void send_failure(process::Outgoing& out, const std::exception_ptr& failure, std::span<const std::uintptr_t> callers) {
  send_stack(out, callers, describe_nested(failure));
  if (!failure) return send_unknown(out, "an exception of another language", {});
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    send_standard(out, error);
  } catch (const Cancelled&) {
    send_standard(out, CancelledError{"the work was cancelled in its worker"});
  } catch (...) {
    send_unknown(out, readable_type(abi::__cxa_current_exception_type()->name()), {});
  }
}

std::exception_ptr receive_failure(process::Incoming& in, const std::function<std::string()>& place) {
  const Origin origin{place, receive_stack(in)};
  switch (static_cast<Form>(in.receive<std::uint8_t>())) {
    case Form::Text: {
      const auto at = in.receive<std::uint8_t>();
      const auto what = in.receive<std::string>();
      const auto make = [&]<class E>() { return origin.make(E{what}); };
      if (std::exception_ptr made = make_at(at, make, FromText{})) return made;
      break;
    }
    case Form::Nothing: {
      const auto make = [&]<class E>() { return origin.make(E{}); };
      if (std::exception_ptr made = make_at(in.receive<std::uint8_t>(), make, FromNothing{})) return made;
      break;
    }
    case Form::System:
      return receive_system_error(in, origin);
    case Form::Os: {
      const int error = in.receive<int>();
      auto operation = in.receive<std::string>();
      return origin.make(OSError{error, std::move(operation), in.receive<std::string>()});
    }
    case Form::Died: {
      const auto task = in.receive<std::string>();
      const auto worker = in.receive<std::string>();
      const int pid = in.receive<int>();
      const int signal = in.receive<int>();
      return origin.make(WorkerDied{task, worker, pid, signal, in.receive<int>()});
    }
    case Form::Unknown: {
      auto type = in.receive<std::string>();
      auto message = in.receive<std::string>();
      return origin.make_unknown(std::move(type), std::move(message), in.receive<std::string>());
    }
  }
  throw ProtocolError{"receiving an exception from a worker: its kind is unknown"};
}

}  // namespace weft::detail
