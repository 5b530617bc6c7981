#include "process/sending/remote_failure.hpp"

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
#include <weft/net/address.hpp>
#include <weft/net/pack.hpp>
#include <weft/net/resolver.hpp>
#include <weft/net/socket.hpp>
#include <weft/process/pickle.hpp>
#include <weft/process/sendable.hpp>

#include "process/sending/thrown_stack.hpp"

namespace weft::detail {

namespace {

// The codes are the positions in this list: what both sides, of one build, agree on.
template <class... E>
struct Types {};

/// Made of what() alone.
using FromText = Types<std::runtime_error, std::logic_error, std::invalid_argument, std::out_of_range, std::domain_error,
                       std::length_error, std::range_error, std::overflow_error, std::underflow_error, Error, TimeoutError,
                       CancelledError, ShutDown, InvalidStateError, DeadlockError, BrokenBarrierError, BrokenExecutor, TasksLost,
                       ProtocolError, AuthenticationError, AddressError, PackError, process::PickleError>;
/// Made of what() and a number.
using FromTextAndNumber = Types<EndOfStream, SendTimeout, RecvTimeout, ResolveError>;
/// Made of nothing.
using FromNothing = Types<std::bad_alloc, std::bad_array_new_length, std::bad_optional_access, std::bad_variant_access, std::bad_cast,
                          std::bad_typeid, std::bad_function_call, std::bad_exception, std::bad_weak_ptr, std::exception>;
/// Made of an error code, and with a text that says more.
using FromCode = Types<std::system_error, std::ios_base::failure, std::filesystem::filesystem_error, std::future_error>;

/// An error of a code that says what the other said: its constructors would add the code's text to that once more.
template <class E>
class Saying : public E {
 public:
  template <class... Args>
  explicit Saying(std::string what, Args&&... args) : E(std::forward<Args>(args)...), what_{std::move(what)} {}
  [[nodiscard]] const char* what() const noexcept override { return what_.c_str(); }

 private:
  std::string what_;
};

/// An exception of such a type that came from another process. Nested in it is a RemoteError, which says from where.
template <class E>
class FromElsewhere final : public E, public std::nested_exception {
 public:
  /// In the handler of that RemoteError.
  explicit FromElsewhere(E error) : E(std::move(error)) {}
};

template <class E, class... All>
consteval bool is_among(Types<All...>) {
  return (std::is_same_v<E, All> || ...);
}

/// Exactly of this type, here or elsewhere.
template <class E>
bool is_of(const std::type_info& type) {
  if constexpr (is_among<E>(FromCode{})) {
    if (type == typeid(FromElsewhere<Saying<E>>)) return true;
  }
  return type == typeid(E) || type == typeid(FromElsewhere<E>);
}

enum class Form : std::uint8_t { Text, TextAndNumber, Nothing, Code, Os, Died, Unknown };
enum class Category : std::uint8_t { Generic, System, Stream, Future, Other };

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

std::int64_t number_of(const EndOfStream& error) { return static_cast<std::int64_t>(error.received()); }
std::int64_t number_of(const RecvTimeout& error) { return static_cast<std::int64_t>(error.received()); }
std::int64_t number_of(const SendTimeout& error) { return static_cast<std::int64_t>(error.sent()); }
std::int64_t number_of(const ResolveError& error) { return error.code(); }

template <class... E>
std::int64_t number_of(const std::exception& error, Types<E...>) {
  std::int64_t number = 0;
  (void)((is_of<E>(typeid(error)) ? (number = number_of(static_cast<const E&>(error)), true) : false) || ...);
  return number;
}

const std::error_category& category_of(Category category) noexcept {
  switch (category) {
    case Category::System: return std::system_category();
    case Category::Stream: return std::iostream_category();
    case Category::Future: return std::future_category();
    default: return std::generic_category();
  }
}

Category category_of(const std::error_category& category) noexcept {
  for (const Category one : {Category::Generic, Category::System, Category::Stream, Category::Future}) {
    if (category == category_of(one)) return one;
  }
  return Category::Other;
}

struct CodeAndPaths {
  std::error_code code;
  std::filesystem::path first, second;
};

CodeAndPaths parts_of(const std::exception& error) {
  if (const auto* future = dynamic_cast<const std::future_error*>(&error)) return {future->code(), {}, {}};
  const auto& system = dynamic_cast<const std::system_error&>(error);
  const auto* files = dynamic_cast<const std::filesystem::filesystem_error*>(&error);
  return {system.code(), files ? files->path1() : std::filesystem::path{}, files ? files->path2() : std::filesystem::path{}};
}

void send_code(process::Outgoing& out, std::uint8_t at, const std::exception& error) {
  const CodeAndPaths parts = parts_of(error);
  send_form(out, Form::Code);
  out(at, parts.code.value(), static_cast<std::uint8_t>(category_of(parts.code.category())), parts.first, parts.second, std::string{error.what()});
}

// Without a place: it was thrown by the task itself, which the receiver knows better.
void send_unknown(process::Outgoing& out, const std::string& type, const std::string& message, const std::string& place = {}) {
  send_form(out, Form::Unknown);
  out(type, message, place);
}

void send_standard(process::Outgoing& out, const std::exception& error) {
  const std::type_info& type = typeid(error);
  if (const auto at = position(type, FromText{})) {
    send_form(out, Form::Text);
    out(*at, std::string{error.what()});
  } else if (const auto with_number = position(type, FromTextAndNumber{})) {
    send_form(out, Form::TextAndNumber);
    out(*with_number, std::string{error.what()}, number_of(error, FromTextAndNumber{}));
  } else if (const auto nothing = position(type, FromNothing{})) {
    send_form(out, Form::Nothing);
    out(*nothing);
  } else if (is_of<OSError>(type) || is_of<WouldBlock>(type)) {
    const auto& os = static_cast<const OSError&>(error);
    send_form(out, Form::Os);
    out(os.errno_value(), os.operation(), os.object(), is_of<WouldBlock>(type));
  } else if (const auto of_code = position(type, FromCode{})) {
    send_code(out, *of_code, error);
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

template <class E>
std::exception_ptr make_of_code(const Origin& origin, const CodeAndPaths& parts, const std::string& what) {
  const char* const type = typeid(E).name();
  if constexpr (std::is_same_v<E, std::filesystem::filesystem_error>) {
    return origin.make(Saying<E>{what, "", parts.first, parts.second, parts.code}, type);
  } else if constexpr (std::is_same_v<E, std::future_error>) {
    return origin.make(Saying<E>{what, static_cast<std::future_errc>(parts.code.value())}, type);
  } else if constexpr (std::is_same_v<E, std::ios_base::failure>) {
    return origin.make(Saying<E>{what, "", parts.code}, type);
  } else {
    return origin.make(Saying<E>{what, parts.code}, type);
  }
}

std::exception_ptr receive_code(process::Incoming& in, const Origin& origin) {
  const auto at = in.receive<std::uint8_t>();
  const int value = in.receive<int>();
  const auto category = static_cast<Category>(in.receive<std::uint8_t>());
  CodeAndPaths parts{{value, category_of(category)}, {}, {}};
  parts.first = in.receive<std::filesystem::path>();
  parts.second = in.receive<std::filesystem::path>();
  const auto what = in.receive<std::string>();
  // A category of the user's is an object of the other process's.
  const auto make = [&]<class E>() {
    return category >= Category::Other ? origin.make_unknown(readable_type(typeid(E).name()), what, {}) : make_of_code<E>(origin, parts, what);
  };
  return make_at(at, make, FromCode{});
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
  } catch (const char* text) {
    send_unknown(out, "const char*", text ? text : "");
  } catch (const std::string& text) {
    send_unknown(out, "std::string", text);
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
    case Form::TextAndNumber: {
      const auto at = in.receive<std::uint8_t>();
      const auto what = in.receive<std::string>();
      const auto number = in.receive<std::int64_t>();
      const auto make = [&]<class E>() {
        using Number = std::conditional_t<std::is_same_v<E, ResolveError>, int, std::size_t>;
        return origin.make(E{what, static_cast<Number>(number)});
      };
      if (std::exception_ptr made = make_at(at, make, FromTextAndNumber{})) return made;
      break;
    }
    case Form::Code:
      if (std::exception_ptr made = receive_code(in, origin)) return made;
      break;
    case Form::Os: {
      const int error = in.receive<int>();
      auto operation = in.receive<std::string>();
      auto object = in.receive<std::string>();
      if (in.receive<bool>()) return origin.make(WouldBlock{error, std::move(operation), std::move(object)});
      return origin.make(OSError{error, std::move(operation), std::move(object)});
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
