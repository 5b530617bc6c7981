// A shell without job control lets what it starts in the background ignore Ctrl-C, and all that is started from there inherits it.
// Tests of what Ctrl-C does to a program have to find it as a terminal would.
#include <signal.h>

namespace weft::test {
namespace {

[[gnu::constructor]] void let_be_interrupted() {
  struct sigaction inherited{};
  if (::sigaction(SIGINT, nullptr, &inherited) == 0 && inherited.sa_handler == SIG_IGN) ::signal(SIGINT, SIG_DFL);
}

}  // namespace
}  // namespace weft::test
