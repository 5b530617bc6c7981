#include "port/sanitizer_threads.hpp"

#include <cstdint>
#include <cstdio>

#include "port/sanitizer.hpp"

namespace weft::port {

// They have no name to know them by, but block every signal they can.
bool is_sanitizer_thread(int thread) noexcept {
  if constexpr (!kThreadSanitizer) return false;
  constexpr std::uint64_t kBlocked = 0x3FFB'EA07;  // signals 1 to 31 but SIGPIPE, those of faults and those that nobody can block
  char path[48];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/status", thread);
  std::FILE* const status = std::fopen(path, "re");
  if (!status) return true;  // it has ended
  std::uint64_t blocked = 0;
  char line[256];
  while (std::fgets(line, sizeof line, status)) {
    if (std::sscanf(line, "SigBlk: %lx", &blocked) == 1) break;
  }
  std::fclose(status);
  return (blocked & kBlocked) == kBlocked;
}

}  // namespace weft::port
