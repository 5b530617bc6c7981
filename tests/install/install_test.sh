#!/bin/bash
# The installed library serves a program outside the tree: by find_package (static and shared) and by pkg-config.
set -euo pipefail

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix
cmake --install "$WEFT_BUILD_DIR" --prefix "$prefix" >"$scratch/install.log"

# Outside the tree: nothing may lean on the source folder.
cp -r "$WEFT_SOURCE_DIR/tests/install/consumer" "$scratch/consumer"
cd "$scratch"

expect_42() {
  local answer
  answer=$("$@")
  if [[ $answer != 42 ]]; then
    echo "$* printed '$answer', not 42"
    exit 1
  fi
}

cmake -G Ninja -S consumer -B by_cmake -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release
cmake --build by_cmake
expect_42 by_cmake/with_weft
expect_42 by_cmake/with_weft_shared
has_http=no
if [[ -e $WEFT_BUILD_DIR/libweft_http.a ]]; then
  has_http=yes
  expect_42 by_cmake/with_http
  expect_42 by_cmake/with_http_shared
fi

pc=$(find "$prefix" -name weft.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
read -r -a flags <<<"$(pkg-config --cflags --libs weft)"
g++ -std=c++20 consumer/main.cpp -o by_pkg_config "${flags[@]}"
libdir=$(pkg-config --variable=libdir weft)
expect_42 env LD_LIBRARY_PATH="$libdir" ./by_pkg_config
if ldd ./by_pkg_config | grep -q libcurl; then
  echo "the library itself needs libcurl"
  exit 1
fi
if [[ $has_http == yes ]]; then
  read -r -a http_flags <<<"$(pkg-config --cflags --libs weft_http)"
  g++ -std=c++20 consumer/http.cpp -o http_by_pkg_config "${http_flags[@]}"
  expect_42 env LD_LIBRARY_PATH="$libdir" ./http_by_pkg_config
fi

# What the README shows is a program.
sed -n '/^```cpp$/,/^```$/p' "$WEFT_SOURCE_DIR/README.md" | sed '/^```/d' >readme.cpp
g++ -std=c++20 -Wall -Wextra -Werror readme.cpp -o readme "${flags[@]}"

# The installed package moved elsewhere still works, and the program starts from there.
mv "$prefix" "$scratch/moved"
PKG_CONFIG_PATH=${PKG_CONFIG_PATH/"$prefix"/"$scratch/moved"}
pkg-config --cflags weft | grep -q "$scratch/moved"
if [[ -e $WEFT_BUILD_DIR/apps/weft/weft ]]; then
  "$scratch/moved/bin/weft" --help >/dev/null
fi
