#!/bin/sh
# Written by `git orch init`; `git orch init --undo` takes it away.
# Has no check of its own: runs the hook that was here before, in the shell alone where that is known.
orch=@PROGRAM@
