#!/bin/sh
# Makes docs/picture/run.svg from a real run: the demonstration, as `git orch demo` prints it.
set -eu
cd "$(dirname "$0")/../.."
cargo build --quiet --locked
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
target/debug/git-orch --color always demo --dir "$scratch/demo" >"$scratch/told" 2>&1
# From the main job to the end of the status; where it was made is nobody's business.
sed -n '/run --assemble/,/^See what went wrong/p' "$scratch/told" | sed '$d' | sed "s|$scratch|/tmp|g" >"$scratch/part"
python3 docs/picture/render.py <"$scratch/part" >docs/picture/run.svg
