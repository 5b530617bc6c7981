// Part of every test program: where AddressSanitizer looks for leaks.
//
// A forked child has what its parent's other threads were using, without these threads: who would give it back, and who points to it,
// has gone. There nothing can be said about leaks.
#include <unistd.h>

namespace {

const pid_t first_process = ::getpid();

}  // namespace

// A program of the tests may know better.
extern "C" [[gnu::weak]] int __lsan_is_turned_off() { return ::getpid() != first_process ? 1 : 0; }
