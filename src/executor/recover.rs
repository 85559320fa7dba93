//! Takes up what a killed run has left: ends its agents, keeps their work, gives their claims back.

use anyhow::{Context as _, Result};

use super::attempt::{held, keep_work, left_behind};
use super::{News, Watch};
use crate::error::UserError;
use crate::git::Repo;
use crate::git::files::Lock;
use crate::ledger::Ledger;
use crate::model::{Actor, Claim, Op, TaskId};
use crate::{process, workspace};

/// Takes the lock that one executor holds per repository and machine.
pub(super) fn take_lock(repo: &Repo) -> Result<Lock> {
    let path = repo.orch_dir().join("run.lock");
    Lock::take(&path)?.with_context(|| {
        UserError::new("`git orch run` is running in this repository already")
            .hint("git orch status --watch")
    })
}

/// Recovers every claim that a killed run has left. The caller holds the lock, so none of them is in use.
pub(super) fn recover(ledger: &mut Ledger, watch: &mut dyn Watch) -> Result<()> {
    let left = left_behind(ledger.repo(), ledger.board(), ledger.machine())?;
    for (task, claim, mark) in left {
        if let Err(error) = recover_one(ledger, watch, &task, &claim, &mark) {
            // One that resists must not keep the others from being worked on.
            watch.tell(&News::Warning(format!("cannot recover {task}: {error:#}")));
        }
    }
    Ok(())
}

/// Returns the claims that a killed run has left on this machine; none while a run is at work.
///
/// # Errors
///
/// A file of an attempt cannot be read.
pub fn abandoned(ledger: &Ledger) -> Result<Vec<Claim>> {
    let path = ledger.repo().orch_dir().join("run.lock");
    // Let go of at once: a run that begins in this moment must not find it taken.
    let Some(_) = Lock::take(&path)?.map(drop) else {
        return Ok(Vec::new());
    };
    let left = left_behind(ledger.repo(), ledger.board(), ledger.machine())?;
    Ok(left.into_iter().map(|(_, claim, _)| claim).collect())
}

/// Recovers the claims that a killed run has left on this machine, as the next run would.
///
/// # Errors
///
/// A run is at work, or the ledger cannot be read.
pub fn recover_abandoned(ledger: &mut Ledger, watch: &mut dyn Watch) -> Result<()> {
    let _alone = take_lock(ledger.repo())?;
    ledger.refresh()?;
    recover(ledger, watch)
}

fn recover_one(
    ledger: &mut Ledger,
    watch: &mut dyn Watch,
    task: &TaskId,
    claim: &Claim,
    mark: &str,
) -> Result<()> {
    let ended = process::sweep(mark)?;
    let row = ledger.board().require_task(task).map_err(UserError::from)?;
    let assignment = workspace::assignment_of(ledger, row, claim)?;
    let held = held(ledger, assignment, mark.to_owned())?;
    let reason = "its executor is gone";
    // What cannot be kept stays in the worktree, where the next attempt's preparation saves it.
    let kept = keep_work(ledger.repo(), &held, reason);
    let released = ledger.try_transact(
        Actor::Executor,
        Op::Release(claim.clone(), reason.to_owned()),
    )?;
    released.map_err(UserError::from)?;
    workspace::park(ledger.repo(), claim.agent)?;
    let mut told = reason.to_owned();
    if ended > 0 {
        told = format!("{told}; {ended} of its processes were ended");
    }
    match kept {
        Ok(Some(kept)) => told = format!("{told}; its work is kept as {kept}"),
        Ok(None) => {}
        Err(error) => watch.tell(&News::Warning(format!("{task}: {error:#}"))),
    }
    watch.tell(&News::Released(claim.agent, task.clone(), told));
    Ok(())
}
