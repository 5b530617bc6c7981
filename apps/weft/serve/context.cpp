#include "serve/context.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.hpp"
#include "weft/io/blocking.hpp"

namespace weft::app {

void ServerContext::print_text(std::string_view peer, std::string_view text) {
  const std::string line = fmt::format("[{}] {}\n", peer, escaped(text));
  const std::lock_guard printing(printing_);
  // Whoever reads our output may be slow, or not read at all: that must not hold a worker up.
  weft::blocking([&] {
    std::string_view rest = line;
    while (!rest.empty()) {
      const ssize_t n = ::write(STDOUT_FILENO, rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return;  // nobody reads any more; the message was for them
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
  });
}

}  // namespace weft::app
