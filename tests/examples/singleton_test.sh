#!/bin/bash
# The example shows as many addresses as it says: five for the broken version, one for each of the others.
set -euo pipefail

output=$(timeout 60 "$WEFT_BUILD_DIR/examples/singleton")
expected='look, then make: 5 threads, 5 addresses
a lock: 5 threads, 1 address
the double check: 5 threads, 1 address
a static variable: 5 threads, 1 address
weft::Singleton: 5 threads, 1 address
weft::Singleton again: 1000 fibers and a thread, 1 address'
[[ $(grep -v '^  ' <<<"$output") == "$expected" ]] || { echo "printed: $output"; exit 1; }

shown=$(grep '^  0x' <<<"$output" | sort -u | wc -l)
[[ $shown == 9 ]] || { echo "$shown different addresses, not 9: $output"; exit 1; }
