#pragma once

// How what has been sent is received and called, in a child and in a worker. Headers of weft only.

#include <concepts>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/process/sendable.hpp>

namespace weft::detail {

template <class F, class... Args>
inline constexpr bool takes_values = std::is_invocable_v<F, Args...>;
/// A function may also take what was sent by reference: the copies are its own.
template <class F, class... Args>
inline constexpr bool takes_references = std::is_invocable_v<F&, Args&...>;

template <class F, class... Args>
decltype(auto) call_sent(F& callable, std::tuple<Args...>& arguments) {
  static_assert(takes_values<F, Args...> || takes_references<F, Args...>,
                "weft: the callable cannot be called with these arguments, which are copied (a C string as a std::string) and sent to the other "
                "process");
  if constexpr (takes_values<F, Args...>) {
    return std::apply(std::move(callable), std::move(arguments));
  } else if constexpr (takes_references<F, Args...>) {
    return std::apply(callable, arguments);
  }
}

/// What such a call gives, to be sent back.
template <class F, class... Args>
using SentResult = std::remove_cvref_t<decltype(call_sent(std::declval<F&>(), std::declval<std::tuple<Args...>&>()))>;

template <class F, class... Args>
struct ReceivedCall {
  F callable;
  std::tuple<Args...> arguments;
};
/// All of what was sent.
template <class F, class... Args>
[[nodiscard]] ReceivedCall<F, Args...> receive_call(process::Incoming& in) {
  // Braces: read in this order.
  ReceivedCall<F, Args...> call{in.receive<F>(), std::tuple<Args...>{in.receive<Args>()...}};
  require_all_read(in);
  return call;
}

template <class F, class... Args>
void run_sent(process::Incoming& in, process::Outgoing& out) {
  auto call = receive_call<F, Args...>(in);
  if constexpr (std::is_void_v<SentResult<F, Args...>>) {
    (void)out;
    call_sent(call.callable, call.arguments);
  } else {
    const SentResult<F, Args...>& result = call_sent(call.callable, call.arguments);
    out(result);
  }
}

/// For a call whose result nobody wants.
template <class F, class... Args>
void run_sent_for_effect(process::Incoming& in, process::Outgoing&) {
  auto call = receive_call<F, Args...>(in);
  (void)call_sent(call.callable, call.arguments);
}

/// Elements of one kind that go as bytes travel as one array.
template <class Arguments>
inline constexpr bool goes_as_array = false;
template <class T>
inline constexpr bool goes_as_array<std::tuple<T>> = sent_as_bytes<T> && std::default_initializable<T>;

/// The elements of a chunk of calls.
template <class Arguments>
[[nodiscard]] auto receive_inputs(process::Incoming& in) {
  const auto count = in.receive<std::uint64_t>();
  if constexpr (goes_as_array<Arguments>) {
    using T = std::tuple_element_t<0, Arguments>;
    if (count > in.remaining() / sizeof(T)) fail_received("more calls than were sent");
    std::vector<T> inputs(count);
    in.read(inputs.data(), count * sizeof(T));
    return inputs;
  } else {
    if (count > in.remaining()) fail_received("more calls than were sent");
    std::vector<Arguments> inputs;
    inputs.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) inputs.push_back(in.receive<Arguments>());
    return inputs;
  }
}

/// Calls for many arguments, of which each is a tuple. Everything is read before anything is written: the result may take the place of
/// what is read.
template <class F, class Arguments>
void run_sent_chunk(process::Incoming& in, process::Outgoing& out) {
  using R = std::remove_cvref_t<decltype(std::apply(std::declval<F&>(), std::declval<Arguments>()))>;
  auto callable = in.receive<F>();
  auto inputs = receive_inputs<Arguments>(in);
  require_all_read(in);
  const auto call = [&](auto& input) -> R {
    if constexpr (goes_as_array<Arguments>) {
      return callable(std::move(input));
    } else {
      return std::apply(callable, std::move(input));
    }
  };
  if constexpr (sent_as_bytes<R>) {
    std::vector<R> results;
    results.reserve(inputs.size());
    for (auto& input : inputs) results.push_back(call(input));
    out.write(results.data(), results.size() * sizeof(R));
  } else {
    for (auto& input : inputs) {
      const R result = call(input);
      out(result);
    }
  }
}

}  // namespace weft::detail
