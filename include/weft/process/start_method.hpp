#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace weft {

/// How a process is started: what its memory is at first, and so what it may be given.
///
///     method       begins as                                             may be given
///     Fork         a copy of this process, with the caller's thread only any callable: it has everything this process has
///     Spawn        the program, started anew                             what is Sendable
///     Forkserver   a copy of a helper: the program, started anew once    what is Sendable
///
/// Spawn and Forkserver need weft::process::main() as the first line of main().
enum class StartMethod : std::uint8_t { Fork, Spawn, Forkserver };

/// A start method as a type, so that what it can carry is checked as the program is compiled: Process{weft::fork, ...}.
template <StartMethod Method>
struct StartBy {
  static constexpr StartMethod method = Method;
  constexpr operator StartMethod() const noexcept { return Method; }
};
inline constexpr StartBy<StartMethod::Fork> fork{};
inline constexpr StartBy<StartMethod::Spawn> spawning{};  // weft::spawn starts a fiber
inline constexpr StartBy<StartMethod::Forkserver> forkserver{};

namespace process {

/// "fork", "spawn", "forkserver".
[[nodiscard]] std::string_view to_string(StartMethod method) noexcept;
/// Throws: std::invalid_argument, which lists the names there are.
[[nodiscard]] StartMethod start_method_named(std::string_view name);
[[nodiscard]] std::vector<StartMethod> get_all_start_methods();

/// How processes that name no method are started: Forkserver unless set. Children that are started by Spawn and Forkserver take it over.
/// Thread-safety: from anywhere.
[[nodiscard]] StartMethod get_start_method() noexcept;
/// Once, early in main(). Throws: InvalidStateError when it was set before, unless `force`.
void set_start_method(StartMethod method, bool force = false);

/// Starts the helper behind StartMethod::Forkserver now, while this process is idle, not at the first start. No effect if it runs.
/// Throws: as Process::start() does.
void start_forkserver();

}  // namespace process

}  // namespace weft
