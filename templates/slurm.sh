#!/bin/sh
#SBATCH --job-name=git-orch
#SBATCH --array=1-50
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --output=git-orch-%A-%a.log
#
# Fifty executors as one Slurm array job, each in a clone of its own in the node's scratch:
#
#     sbatch --export=ALL,ORCH_REPO=ssh://git@example.org/project.git templates/slurm.sh
#
# The repository's ledger must be at that remote (`git orch init --remote origin` where the plan was made), and
# git, git-orch and the agents' programs must be on the nodes' PATH.
#
#   ORCH_REPO      what to clone
#   ORCH_SLOTS     agents at once in each executor                          [default: 1]
#   ORCH_WORK      more arguments of `git orch work`, e.g. "--team 2 --skill sql"
#   ORCH_SCRATCH   directory on the node's own disk                         [default: TMPDIR or /tmp]
#
# A task array is as good as any number of such jobs, and any of them may be cancelled or killed: what it held
# is done by others once its lease has run out. Slurm sends TERM to this script (B:) a minute before the time
# limit; the executor then takes no new work, gives its agents 20 s to finish and hands the rest back.
set -eu

: "${ORCH_REPO:?is not set: sbatch --export=ALL,ORCH_REPO=<what to clone> templates/slurm.sh}"
job=${SLURM_ARRAY_JOB_ID:-${SLURM_JOB_ID:-local}}-${SLURM_ARRAY_TASK_ID:-0}
scratch=$(mktemp -d "${ORCH_SCRATCH:-${TMPDIR:-/tmp}}/git-orch-$job.XXXXXX")

executor=
trap '[ -z "$executor" ] || kill -s TERM "$executor"' TERM INT

git clone --quiet "$ORCH_REPO" "$scratch/repo"
cd "$scratch/repo"
# Two jobs on one node are two machines to the ledger.
git config orch.machine "slurm-$job"
git orch init

# shellcheck disable=SC2086 # ORCH_WORK is a list of words.
git orch work --slots "${ORCH_SLOTS:-1}" --grace 20s --no-progress ${ORCH_WORK:-} &
executor=$!
# A signal breaks off `wait` before the executor has ended.
while :; do
    status=0
    wait "$executor" || status=$?
    kill -s 0 "$executor" 2>/dev/null || break
done

cd /
# 3: there was nothing to do, which is no failure of this job.
case $status in 0 | 3)
    rm -rf "$scratch"
    exit 0
    ;;
esac
# What attempts that did not finish have left must not go with the scratch.
if git -C "$scratch/repo" push --quiet --no-verify origin "refs/heads/orch/*:refs/orch/left/$job/*"; then
    rm -rf "$scratch"
else
    echo "unfinished work is still in $scratch on $(uname -n)" >&2
fi
exit "$status"
