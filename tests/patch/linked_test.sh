#!/bin/bash
# Linked instead of preloaded, and beside libweft.so instead of libweft.a: the patch finds the one engine there is. And a program that
# keeps the engine to itself is told so.
set -euo pipefail

patch=$WEFT_BUILD_DIR/libweft-patch.so
[[ -e $patch ]] || { echo "libweft-patch.so is not built here"; exit 77; }
# A library with a sanitizer in it needs a program with the same; those are built, and linked with it, elsewhere.
! grep -q '^WEFT_SANITIZE:[^=]*=.' "$WEFT_BUILD_DIR/CMakeCache.txt" || { echo "not under a sanitizer"; exit 77; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

cat >main.cpp <<'CODE'
#include <cstdio>
#include <unistd.h>
#include <weft/fiber/runtime.hpp>
#include <weft/fiber/spawn.hpp>
#include <weft/io/patch.hpp>

int main() {
  weft::Runtime{{.workers = 1}}.run([] {
    const char* first = "the sleeper";
    auto other = weft::spawn([&] { first = "the other fiber"; });
    usleep(1000);
    std::printf("%s: %s\n", weft::patch::active() ? "active" : "inactive", first);
    other.join();
  });
}
CODE
build() { g++ -std=c++20 -O1 -I"$WEFT_SOURCE_DIR/include" main.cpp -o "$@" -pthread -Wl,-rpath,"$WEFT_BUILD_DIR"; }
expect() {
  local wanted=$1 got
  shift
  got=$("$@" 2>&1)
  [[ $got == *"$wanted"* ]] || { echo "$*: '$got', not '$wanted'"; exit 1; }
}

active="active: the other fiber"
build shared -L"$WEFT_BUILD_DIR" -lweft
expect "inactive: the sleeper" ./shared
expect "$active" env LD_PRELOAD="$patch" ./shared
build linked_shared "$patch" -L"$WEFT_BUILD_DIR" -lweft
expect "$active" ./linked_shared
build linked_static "$patch" "$WEFT_BUILD_DIR/libweft.a"
expect "$active" ./linked_static
build exporting "$WEFT_BUILD_DIR/libweft.a" -rdynamic
expect "$active" env LD_PRELOAD="$patch" ./exporting
build closed "$WEFT_BUILD_DIR/libweft.a"
expect "weft-patch: inactive" env LD_PRELOAD="$patch" ./closed
expect "inactive: the sleeper" env LD_PRELOAD="$patch" ./closed
[[ $(LD_PRELOAD=$patch WEFT_PATCH=quiet ./closed 2>&1) == "inactive: the sleeper" ]] || { echo "not quiet"; exit 1; }
