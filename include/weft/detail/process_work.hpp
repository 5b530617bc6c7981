#pragma once

// What a process is to do: called in a copy of this process, or sent to another one. Headers of weft only.

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <weft/base/unique_function.hpp>
#include <weft/detail/bound_call.hpp>
#include <weft/detail/call_sent.hpp>
#include <weft/process/sendable.hpp>

namespace weft::detail {

class ProcessWork {
 public:
  ProcessWork() = default;
  ProcessWork(const ProcessWork&) = delete;
  ProcessWork& operator=(const ProcessWork&) = delete;
  virtual ~ProcessWork() = default;

  /// Once.
  virtual void run() = 0;
  /// Writes a ReceiveWork and what that will read. False: it cannot be sent.
  [[nodiscard]] virtual bool send(process::Outgoing& out) const = 0;
};

/// Reads in the other process what is to be done there; the result does it, once.
using ReceiveWork = UniqueFunction<void()> (*)(process::Incoming& in);

inline void send_receiver(process::Outgoing& out, ReceiveWork receive) {
  send_function(out, reinterpret_cast<void (*)()>(receive));
}

/// Any callable.
template <class Call>
class LocalWork final : public ProcessWork {
 public:
  explicit LocalWork(Call call) : call_{std::move(call)} {}
  void run() override { (void)call_(); }
  bool send(process::Outgoing&) const override { return false; }

 private:
  Call call_;
};

/// What is kept of an argument: a copy; of a C string, which could not be sent, its text.
template <class T>
using Kept = std::conditional_t<std::is_same_v<std::decay_t<T>, const char*> || std::is_same_v<std::decay_t<T>, char*>, std::string,
                                std::decay_t<T>>;

/// A handle of its own for what cannot be copied but can be sent, as a Connection or a Socket: what a receiver of it would get.
template <class T>
[[nodiscard]] T sent_copy(const T& value) {
  process::Outgoing out;
  out(value);
  process::Incoming in{out.bytes(), out.take_descriptors()};
  return in.receive<T>();
}

template <class T, class Value = std::remove_cvref_t<T>>
concept KeptAsSent =
    std::is_lvalue_reference_v<T> && std::is_class_v<Value> && !std::is_copy_constructible_v<Value> && sendable<Value>;

/// An argument, to be copied or moved from; one that cannot be copied, and is not moved, stays the caller's.
template <class T>
[[nodiscard]] decltype(auto) to_keep(T&& argument) {
  if constexpr (KeptAsSent<T>) {
    return sent_copy(argument);
  } else {
    return std::forward<T>(argument);
  }
}

template <class F, class... Args>
class SentWork final : public ProcessWork {
 public:
  template <class G, class... T>
  explicit SentWork(G&& callable, T&&... arguments)
      : callable_(std::forward<G>(callable)), arguments_(std::forward<T>(arguments)...) {}

  void run() override { (void)call_sent(callable_, arguments_); }

  bool send(process::Outgoing& out) const override {
    send_receiver(out, &receive);
    out(callable_);
    std::apply([&](const Args&... arguments) { (void)out(arguments...); }, arguments_);
    return true;
  }

 private:
  static UniqueFunction<void()> receive(process::Incoming& in) {
    return [call = receive_call<F, Args...>(in)]() mutable { (void)call_sent(call.callable, call.arguments); };
  }

  F callable_;
  std::tuple<Args...> arguments_;
};

template <class F, class... Args>
[[nodiscard]] std::unique_ptr<ProcessWork> local_work(F&& callable, Args&&... args) {
  auto call = bind_call(std::forward<F>(callable), to_keep(std::forward<Args>(args))...);
  return std::make_unique<LocalWork<decltype(call)>>(std::move(call));
}

template <class F, class... Args>
[[nodiscard]] std::unique_ptr<ProcessWork> sent_work(F&& callable, Args&&... args) {
  require_sendable<std::decay_t<F>>();
  (require_sendable<Kept<Args>>(), ...);
  return std::make_unique<SentWork<std::decay_t<F>, Kept<Args>...>>(std::forward<F>(callable), to_keep(std::forward<Args>(args))...);
}

}  // namespace weft::detail
