#!/bin/bash
# What cannot be sent to another process does not compile, and the message names why: each program of must_not_compile/ is compiled,
# must fail, and must say what its first line asks for, and of which type, if its second line does.
set -euo pipefail

if grep -q '^WEFT_SANITIZE:STRING=.' "$WEFT_BUILD_DIR/CMakeCache.txt"; then exit 77; fi  # the same compile as without
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$WEFT_BUILD_DIR/CMakeCache.txt")
failed=0
for source in "$WEFT_SOURCE_DIR"/tests/process/must_not_compile/*.cpp; do
  expected=$(sed -n '1s|^// ||p' "$source")
  culprit=$(sed -n '2s|^// the culprit: ||p' "$source")
  if output=$("$compiler" -std=c++20 -fsyntax-only -I"$WEFT_SOURCE_DIR/include" "$source" 2>&1); then
    echo "compiles: $source"
    failed=1
  elif ! grep -q -- "error: static assertion failed: $expected" <<<"$output"; then
    echo "$source does not say '$expected', but:"
    head -n 30 <<<"$output"
    failed=1
  elif [[ -n $culprit ]] && ! grep -qF -- "$culprit]" <<<"$(grep -m1 'explain_not_sendable() \[with T = ' <<<"$output")"; then
    echo "$source does not name '$culprit', but:"
    grep 'explain_not_sendable' <<<"$output"
    failed=1
  elif [[ $(grep -c 'error:' <<<"$output") -gt 1 ]]; then
    echo "$source is refused by more than one message:"
    grep 'error:' <<<"$output"
    failed=1
  fi
done
exit $failed
