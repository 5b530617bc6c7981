#!/bin/bash
# The example's output, with a count every machine has room for.
set -euo pipefail

output=$("$WEFT_BUILD_DIR/examples/million_fibers" 20000)
[[ $output == $'20000 fibers wait\ntheir numbers add up to 200010000' ]] || { echo "printed: $output"; exit 1; }

if "$WEFT_BUILD_DIR/examples/million_fibers" many 2>/dev/null; then
  echo "took 'many' for a number"
  exit 1
fi
