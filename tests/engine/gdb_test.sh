#!/bin/bash
# The debugger script lists fibers, and shows the stack of a parked one down to the function that waits.
set -euo pipefail

command -v gdb >/dev/null || exit 77
export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"  # which does not work under a debugger

output=$(timeout 60 gdb -q -nx -batch -iex 'set debuginfod enabled off' -ex 'set confirm off' -ex 'set breakpoint pending on' \
  -ex "source $WEFT_SOURCE_DIR/tools/gdb/weft-gdb.py" -ex "break -qualified look_here" -ex run -ex 'weft fibers' -ex 'weft stacks' \
  -ex continue "$WEFT_BUILD_DIR/tests/programs/parked_fibers" 2>&1) || true

if grep -q 'ptrace: Operation not permitted\|Could not trace' <<<"$output"; then exit 77; fi

expect() {
  grep -q -- "$1" <<<"$output" || { echo "missing from gdb's output: $1"; echo "$output"; exit 1; }
}
expect 'the waiter .*waits for Event'
expect 'the sleeper .*waits: sleep'
expect 'waits_in_a_function_of_its_own'
expect 'exited normally'
