//! The way of finished work from a coder's worktree to a head that may be handed in: the same whoever asks.

use anyhow::Result;

use super::checks::{self, CheckFailure, Verdict};
use super::{Work, branch, success, uncommitted};
use crate::error::UserError;
use crate::hooks::gate::task::Surroundings;
use crate::model::TaskId;

/// What happens to what is uncommitted.
#[derive(Debug, Clone, Copy)]
pub enum Uncommitted<'a> {
    /// Whoever did the work commits it.
    IsAFailure,
    /// It is committed under this subject.
    IsCommitted(&'a str),
}

/// What the way came to, and what a person should know of it.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Whether it may be handed in.
    pub verdict: Verdict,
    /// What was done on the way, a line each.
    pub notes: Vec<String>,
}

/// Brings work to where it can be handed in, as far as that is ours to do, and checks it: everything of the task is
/// committed, the branch has commits beyond its base and passes the gate, deliverables are in its tip, success
/// commands pass, the user's `pre-push` hook lets it go up.
///
/// # Errors
///
/// Git or the ledger cannot be read, or a command cannot be started. A [`UserError`] is about the work.
pub fn judge(work: &Work<'_>, uncommitted: Uncommitted<'_>) -> Result<Judged> {
    let mut notes = Vec::new();
    let verdict = match judge_in_order(work, uncommitted, &mut notes)? {
        Ok(passed) => passed,
        Err(failure) => Verdict::Failed(failure),
    };
    Ok(Judged { verdict, notes })
}

fn judge_in_order(
    work: &Work<'_>,
    uncommitted: Uncommitted<'_>,
    notes: &mut Vec<String>,
) -> Result<Result<Verdict, CheckFailure>> {
    let Work {
        ledger,
        assignment: a,
        dir,
        ..
    } = *work;
    let repo = ledger.repo();
    if let Uncommitted::IsCommitted(subject) = uncommitted {
        let taken = uncommitted::take(ledger, a, dir, subject)?;
        notes.extend(uncommitted::told(&taken));
        if let Some(failure) = uncommitted::failure(&taken) {
            return Ok(Err(failure.into()));
        }
    }
    let head = match checks::find_head(repo, a, dir)? {
        Ok(head) => head,
        Err(failure) => return Ok(Err(failure)),
    };
    let spec = ledger.spec(&a.task)?;
    if let Some(failure) = checks::check_committed(repo, &spec, a, dir, head)? {
        return Ok(Err(failure));
    }
    // Before the success commands, which may take minutes.
    let head = match Surroundings::here(ledger, &a.task)? {
        Some(around) => match branch::put_right(ledger, a, &around, head, notes)? {
            Ok(head) => head,
            Err(failure) => return Ok(Err(failure)),
        },
        // There is nothing to compare with before the base branch has a commit.
        None => head,
    };
    if let Some(failure) = success::check(work, &spec, head)? {
        return Ok(Err(failure));
    }
    if let Some(failure) = checks::open_at_submit(ledger, a)? {
        return Ok(Err(failure));
    }
    if let Some(failure) = checks::ask_before_push(ledger, a, head, notes)? {
        return Ok(Err(failure));
    }
    let handoff = checks::handoff(repo, &spec, a, head)?;
    Ok(Ok(Verdict::Passed { head, handoff }))
}

/// Returns the error that failed checks are to a person.
pub fn refusal(task: &TaskId, failure: &CheckFailure) -> UserError {
    let CheckFailure {
        reason, findings, ..
    } = failure;
    UserError::new(format!(
        "task {task} cannot be submitted: {reason}\n{findings}"
    ))
}
