#!/bin/sh
# Written by `git orch init`; `git orch init --undo` takes it away.
# Runs the hook that was here before and checks what an agent is about to do.
orch=@PROGRAM@
[ -x "$orch" ] || orch=git-orch
command -v "$orch" >/dev/null 2>&1 && exec "$orch" hook @NAME@ -- "$@"
echo "error: git-orch is neither at" @PROGRAM@ "nor on PATH, so nothing can check what this agent does" >&2
echo "hint: install git-orch, then run \`git orch init\` in this repository" >&2
exit 1
