// Defines a function that libweft-patch.so replaces, as programs with their own wrappers do.

#include <cstdio>

#include <weft/io/patch.hpp>

extern "C" int usleep(unsigned) {
  return 42;
}

int main() {
  for (const auto& name : weft::patch::unpatched()) std::printf("not patched: %s\n", name.c_str());
  std::printf("%s, %d\n", weft::patch::active() ? "active" : "inactive", usleep(1));
}
