//! Takes up what a killed executor has left: ends its agents, keeps their work, gives their claims back.

use anyhow::{Context as _, Result};

use super::attempt::{held, keep_work, left_behind};
use super::{News, Watch, marks};
use crate::error::UserError;
use crate::git::Repo;
use crate::git::files::Lock;
use crate::ledger::Ledger;
use crate::model::{Actor, Claim, Op};
use crate::{process, workspace};

/// Why claims are given back.
const REASON: &str = "its executor is gone";

/// Takes the lock that one executor holds per repository and machine.
pub(super) fn take_lock(repo: &Repo) -> Result<Lock> {
    let path = repo.orch_dir().join("run.lock");
    Lock::take(&path)?.with_context(|| {
        UserError::new(
            "an executor (`git orch run` or `git orch work`) is running in this repository already",
        )
        .hint("git orch status --watch")
    })
}

/// Recovers every claim that a killed executor has left, and gives them all back in one go. The caller holds
/// the lock, so none of them is in use.
///
/// # Errors
///
/// The ledger cannot be read or written; then nothing was given back and this can be called again.
pub(super) fn recover(ledger: &mut Ledger, tell: &mut dyn FnMut(News)) -> Result<()> {
    let left = left_behind(ledger.repo(), ledger.board(), ledger.machine())?;
    let (mut saved, mut intents) = (Vec::new(), Vec::new());
    for (claim, mark) in left {
        match save(ledger, tell, &claim, &mark) {
            Ok(told) => {
                let op = Op::Release(claim.clone(), REASON.to_owned());
                intents.push(ledger.intent(Actor::Executor, op));
                saved.push((claim, told));
            }
            // One that resists must not keep the others from being worked on.
            Err(error) => tell(cannot(&claim, &format!("{error:#}"))),
        }
    }
    if !intents.is_empty() {
        let outcomes = ledger.carry_out(intents)?;
        ledger.refresh()?;
        for ((claim, told), outcome) in saved.into_iter().zip(outcomes) {
            if let Err(refusal) = outcome {
                tell(cannot(&claim, &refusal.message));
                continue;
            }
            if let Err(error) = workspace::park(ledger.repo(), claim.agent) {
                tell(cannot(&claim, &format!("{error:#}")));
            }
            tell(News::Released(claim.agent, claim.task, told));
        }
    }
    marks::clear(ledger.repo());
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
    Ok(left.into_iter().map(|(claim, _)| claim).collect())
}

/// Recovers the claims that a killed run has left on this machine, as the next run would.
///
/// # Errors
///
/// A run is at work, or the ledger cannot be read.
pub fn recover_abandoned(ledger: &mut Ledger, watch: &mut dyn Watch) -> Result<()> {
    let _alone = take_lock(ledger.repo())?;
    ledger.refresh()?;
    recover(ledger, &mut |news| watch.tell(&news))
}

fn cannot(claim: &Claim, why: &str) -> News {
    News::Warning(format!("cannot recover {}: {why}", claim.task))
}

/// Ends what is left of an attempt's processes, keeps its work, and returns what is told of it.
fn save(ledger: &Ledger, tell: &mut dyn FnMut(News), claim: &Claim, mark: &str) -> Result<String> {
    let ended = process::sweep(mark)?;
    let row = ledger
        .board()
        .require_task(&claim.task)
        .map_err(UserError::from)?;
    let assignment = workspace::assignment_of(ledger, row, claim)?;
    let held = held(ledger, assignment, mark.to_owned())?;
    let mut told = REASON.to_owned();
    if ended > 0 {
        told = format!("{told}; {ended} of its processes were ended");
    }
    // What cannot be kept stays in the worktree, where the next attempt's preparation saves it.
    match keep_work(ledger.repo(), Some(ledger), &held, REASON) {
        Ok(Some(kept)) => told = format!("{told}; {kept}"),
        Ok(None) => {}
        Err(error) => tell(News::Warning(format!("{}: {error:#}", claim.task))),
    }
    Ok(told)
}
