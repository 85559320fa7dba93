#!/bin/sh
# Makes docs/picture/run.svg from a real run: the demonstration, as `git orch demo` prints it.
set -eu
cd "$(dirname "$0")/../.."
cargo build --quiet --locked
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
target/debug/git-orch --color always demo --dir "$scratch/demo" >"$scratch/told" 2>&1
# The main job to the end of the status, of which the beginning, what went wrong and the end are shown; where it was made
# is nobody's business.
sed -n '/run --assemble/,/^See what went wrong/p' "$scratch/told" | sed '$d' | sed "s|$scratch|/tmp|g" | awk '
    / left over in /                                  { all = 1 }
    all || /run --assemble/ || / failed / || / conflict: / || / test_failed: / || /\(attempt 2\)/ ||
        (/ claimed / && begun++ < 4) || (/ submitted / && done++ < 4) || (/ merged$/ && in_++ < 4) {
        print; gap = 0; next
    }
    !gap                                              { print "  …"; gap = 1 }
' >"$scratch/part"
python3 docs/picture/render.py <"$scratch/part" >docs/picture/run.svg
