#!/bin/sh
# Runs every test; each is a script that fails where something is wrong.
cd "$(dirname "$0")" || exit 1
failed=0
for test in tests/*.sh; do
    if sh -e "$test"; then
        echo "ok   $test"
    else
        echo "FAIL $test"
        failed=1
    fi
done
exit "$failed"
