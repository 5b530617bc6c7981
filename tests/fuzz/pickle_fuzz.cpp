// The pickle reader, which never calls anything. What it accepts it can write, and reads back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "weft/process/pickle.hpp"

namespace {

constexpr std::size_t kMaxInput = 64 * 1024;

void require(bool condition) {
  if (!condition) std::abort();
}

// NaN is not equal to itself: then only its text is compared.
bool same(const weft::process::PyValue& a, const weft::process::PyValue& b) { return a == b || a.repr() == b.repr(); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > kMaxInput) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const weft::process::PickleLimits limits{.max_depth = 100, .max_values = 100'000, .max_bytes = 10'000'000};
  try {
    const weft::process::PyValue value = weft::process::pickle::loads(bytes, limits);
    require(same(weft::process::pickle::loads(weft::process::pickle::dumps(value)), value));
  } catch (const weft::process::PickleError&) {
  }
  return 0;
}
