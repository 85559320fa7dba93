//! `git orch submit`: the coder says done, and the checks agree.

use anyhow::Result;

use super::Ctx;
use super::held::{HeldArgs, answer};
use crate::answer::Reply;
use crate::error::UserError;
use crate::git::repo::Repo;
use crate::model::{CommitId, Op};
use crate::tasks::checks::Verdict;
use crate::tasks::{Work, submit};
use crate::workspace;

/// Hand in a finished task
///
/// Checks in the coder's worktree that nothing of the task is uncommitted, that the branch has commits beyond its
/// base, that the deliverables exist, that the gate lets the branch pass and that the success commands pass on what is
/// committed; then writes the result and the handoff contract. Commits that were made past the hooks get their tags
/// and trailers first. Exits with 1 where a check fails, with 4 where the claim does not hold any more.
#[derive(Debug, clap::Args)]
pub struct SubmitArgs {
    #[command(flatten)]
    held: HeldArgs,
    /// What was done, in one sentence [default: subject of the last commit]
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// What should come next; may be given several times
    #[arg(long, value_name = "TEXT")]
    next: Vec<String>,
}

/// Runs the command.
///
/// # Errors
///
/// A check fails, the claim does not hold, or the ledger cannot be written.
pub fn run(ctx: &Ctx, args: SubmitArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let claim = args.held.claim(&ledger)?;
    // Said before the checks, which may take minutes: a stale claim learns it at once.
    let held = ledger
        .board()
        .holds(&claim)
        .map_err(UserError::from)?
        .clone();
    let assignment = workspace::assignment_of(&ledger, &held, &claim)?;
    let dir = worktree_of(ledger.repo(), &assignment.branch)?;
    let log = workspace::attempt_dir(ledger.repo(), &claim.task, claim.attempt).join("submit.log");
    let work = Work {
        ledger: &ledger,
        assignment: &assignment,
        dir: &dir,
        log: &log,
    };
    let judged = submit::judge(&work, submit::Uncommitted::IsAFailure)?;
    for note in &judged.notes {
        ctx.ui.note(note);
    }
    let (head, mut handoff) = match judged.verdict {
        Verdict::Passed { head, handoff } => (head, handoff),
        Verdict::Failed(failure) => {
            let error = submit::refusal(&claim.task, &failure);
            return Err(match log.exists() {
                true => error.hint(format!("cat '{}'", log.display())),
                false => error,
            }
            .into());
        }
    };
    if let Some(message) = args.message {
        handoff.summary = message;
    }
    handoff.next_steps = args.next;
    let head = CommitId(head.to_string());
    let done = ledger.transact(Op::Submit(claim.clone(), head, Box::new(handoff)))?;
    answer(ctx, &ledger, &claim.task, done)
}

/// Returns the worktree that has a branch checked out.
fn worktree_of(repo: &Repo, branch: &str) -> Result<std::path::PathBuf> {
    let wanted = format!("refs/heads/{branch}");
    let found = repo
        .checkouts()?
        .into_iter()
        .find(|place| place.branch.as_ref() == Some(&wanted));
    let found = found.ok_or_else(|| {
        UserError::new(format!("no worktree has branch {branch} checked out"))
            .hint(format!("git switch {branch}"))
    })?;
    Ok(found.dir)
}
