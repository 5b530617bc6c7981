#pragma once

#include <cstdlib>
#include <string>

#include "support/paths.hpp"

namespace weft::test {

/// While it lives, programs that this process starts find libweft-patch.so before all other libraries.
class Preloaded {
 public:
  explicit Preloaded(const char* wish = "") {
    ::setenv("LD_PRELOAD", (build_dir() + "/libweft-patch.so").c_str(), 1);
    ::setenv("WEFT_PATCH", wish, 1);
  }
  ~Preloaded() {
    ::unsetenv("LD_PRELOAD");
    ::unsetenv("WEFT_PATCH");
  }
  Preloaded(const Preloaded&) = delete;
  Preloaded& operator=(const Preloaded&) = delete;
};

}  // namespace weft::test
