// The copying alone, there and back, by memcpy in one process. --to warm: memory that was used before; new: a new std::vector each time,
// as whoever receives a value has; huge: the same, with huge pages asked for. Arguments: see trips.hpp.
#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "p15_array/trips.hpp"

namespace {

using Bytes = std::vector<std::byte>;

void ask_for_huge_pages(void* begin, std::size_t size) {
  constexpr std::uintptr_t kHuge = 2 << 20;
  const auto first = (reinterpret_cast<std::uintptr_t>(begin) + kHuge - 1) / kHuge * kHuge;
  const auto last = (reinterpret_cast<std::uintptr_t>(begin) + size) / kHuge * kHuge;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
}

Bytes copied(const Bytes& from, bool huge) {
  Bytes to;
  to.reserve(from.size());
  if (huge) ask_for_huge_pages(to.data(), from.size());
  to.assign(from.begin(), from.end());
  return to;
}

}  // namespace

int main(int argc, char** argv) {
  const bench::Arguments arguments(argc, argv);
  const std::string kind = arguments.text("to", "warm");
  Bytes value(bench::array_size(arguments), std::byte{1});
  Bytes there(value), back(value);
  unsigned trip = 0;
  bench::measure(arguments, 1, [&] {
    value.front() = std::byte(++trip);
    if (kind == "warm") {
      std::memcpy(there.data(), value.data(), value.size());
      there.back() = std::byte(trip + 1);
      std::memcpy(back.data(), there.data(), there.size());
      return bench::check_marks(back.front(), back.back(), trip);
    }
    Bytes new_there = copied(value, kind == "huge");
    new_there.back() = std::byte(trip + 1);
    const Bytes new_back = copied(new_there, kind == "huge");
    bench::check_marks(new_back.front(), new_back.back(), trip);
  });
}
