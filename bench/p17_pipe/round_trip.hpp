// What all programs of p17 do: send 64 bytes to a child process, which sends them back. Arguments: --count, --repeat.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "common/arguments.hpp"
#include "common/measure.hpp"

namespace bench {

constexpr std::size_t kMessageBytes = 64;

/// `Pair` makes two connected ends; end.send(message) and end.receive(message) move one message, receive() says false at the end.
/// The child has the second end, and this process the first.
template <class Pair>
void measure_round_trips(const Arguments& arguments) {
  const std::uint64_t count = arguments.number("count", 50'000);
  Pair pair;
  const pid_t child = ::fork();
  if (child == 0) {
    pair.close_first();
    char message[kMessageBytes];
    while (pair.second().receive(message)) pair.second().send(message);
    ::_exit(0);
  }
  pair.close_second();
  measure(arguments, count, [&] {
    char message[kMessageBytes] = "the message";
    for (std::uint64_t i = 0; i < count; ++i) {
      pair.first().send(message);
      if (!pair.first().receive(message)) {
        std::fprintf(stderr, "the child has gone\n");
        std::exit(1);
      }
    }
  });
  pair.close_first();
  ::waitpid(child, nullptr, 0);
}

}  // namespace bench
