#include "support/stress.hpp"

#include <algorithm>
#include <cstdlib>

#include "port/sanitizer.hpp"

namespace weft::test {

bool under_thread_sanitizer() { return port::kThreadSanitizer; }
bool under_address_sanitizer() { return port::kSanitized && !port::kThreadSanitizer; }

int rounds(int usual) {
  static const bool stress = std::getenv("WEFT_STRESS") != nullptr;
  const int scaled = port::kSanitized ? std::max(usual / 10, 1) : usual;
  return stress ? scaled * 20 : scaled;
}

}  // namespace weft::test
