#include "support/stress.hpp"

#include <algorithm>
#include <cstdlib>

#include "port/sanitizer.hpp"

namespace weft::test {

bool under_thread_sanitizer() { return port::kThreadSanitizer; }
bool under_address_sanitizer() { return port::kSanitized && !port::kThreadSanitizer; }

bool stressing() {
  static const bool set = std::getenv("WEFT_STRESS") != nullptr;
  return set;
}

int rounds(int usual) {
  const int scaled = port::kSanitized ? std::max(usual / 10, 1) : usual;
  return stressing() ? scaled * 20 : scaled;
}

}  // namespace weft::test
