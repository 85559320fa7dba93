//! What an attempt came to, once its agent has ended: is it done, does its work hold, and if not, whose fault is it.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::attempt::Held;
use crate::agents;
use crate::error::UserError;
use crate::git::{Oid, Repo, disk};
use crate::ledger::Ledger;
use crate::model::{AttemptEnd, CommitBy, EndFacts, Handoff, HandoffStatus, TimeLimits, event};
use crate::process::{Ended, Ending};
use crate::tasks::Work;
use crate::tasks::checks::{CheckFailure, Verdict};
use crate::tasks::submit::{self, Judged, Uncommitted};
use crate::workspace::{self, load_start};

/// What an attempt came to.
#[derive(Debug, Clone)]
pub(super) enum Assessed {
    /// Its work can be handed in.
    Passed(Oid, Handoff),
    /// Its agent asks something.
    Asked(String),
    /// It brought nothing.
    Failed(Failing),
}

/// Why an attempt brought nothing.
#[derive(Debug, Clone)]
pub(super) struct Failing {
    pub(super) facts: EndFacts,
    /// In one line.
    pub(super) reason: String,
    /// All that the next attempt should know.
    pub(super) findings: String,
    /// The program that a check needs and that is not there.
    pub(super) missing: Option<String>,
}

impl Failing {
    /// Returns the failure that an error is, which no work is to blame for.
    pub(super) fn of_error(repo: &Repo, end: AttemptEnd, error: &anyhow::Error) -> Self {
        let text = format!("{error:#}");
        Self {
            facts: EndFacts {
                end,
                took: Duration::ZERO,
                has_commits: false,
                disk_is_full: disk::has_no_space(error) || disk::is_full(repo.common_dir()),
            },
            reason: event::one_line(&text),
            findings: text,
            missing: None,
        }
    }
}

/// Judges an attempt whose agent ended by itself, and returns what a person should know of it.
pub(super) fn assess(
    ledger: &Ledger,
    held: &Held,
    worktree: &Path,
    ended: &Ended,
) -> Result<(Assessed, Vec<String>)> {
    let (a, repo) = (&held.assignment, ledger.repo());
    let board = ledger.board();
    let row = board.require_task(&a.task).map_err(UserError::from)?;
    let (name, profile) = board.profile_of(row);
    let spec = ledger.spec(&a.task)?;
    let limits = TimeLimits::of(&spec, (&name, &profile), &board.run());
    let failing = |end, failure| failing(repo, held, worktree, ended, end, failure);
    let broken = |error: &anyhow::Error| event::one_line(&format!("{error:#}"));
    if let Err(error) = workspace::bring_home(repo, a.agent) {
        return Ok((
            failing(AttemptEnd::Refused, plain(broken(&error)))?,
            Vec::new(),
        ));
    }
    let result = agents::read_result(&held.files.result(), &a.task);
    if let Ok(Some(said)) = &result
        && said.status == HandoffStatus::Blocked
        && !said.summary.trim().is_empty()
    {
        return Ok((Assessed::Asked(event::one_line(&said.summary)), Vec::new()));
    }
    let said = match &result {
        Ok(result) => agents::judge(profile.done, ended, result.as_ref(), &limits),
        Err(error) => Err(format!("{error:#}")),
    };
    if let Err(reason) = said {
        return Ok((failing(of_agent(ended.ending), plain(reason))?, Vec::new()));
    }
    let work = Work {
        ledger,
        assignment: a,
        dir: worktree,
        log: &held.files.log(),
    };
    let uncommitted = match held.commit {
        CommitBy::Executor => Uncommitted::IsCommitted(&held.title),
        CommitBy::Agent => Uncommitted::IsAFailure,
    };
    let Judged { verdict, notes } = match submit::judge(&work, uncommitted) {
        // What is no person's or agent's doing says nothing about the work.
        Err(error) if !error.is::<UserError>() => return Err(error),
        Err(error) => Judged {
            verdict: Verdict::Failed(plain(broken(&error))),
            notes: Vec::new(),
        },
        Ok(judged) => judged,
    };
    let assessed = match (verdict, result) {
        (Verdict::Passed { head, handoff }, Ok(Some(said))) => {
            Assessed::Passed(head, with_words_of(handoff, said))
        }
        (Verdict::Passed { head, handoff }, _) => Assessed::Passed(head, handoff),
        (Verdict::Failed(failure), _) => {
            let end = match failure.missing {
                Some(_) => AttemptEnd::CheckMissing,
                None => AttemptEnd::Refused,
            };
            failing(end, failure)?
        }
    };
    Ok((assessed, notes))
}

fn plain(reason: String) -> CheckFailure {
    (reason.clone(), reason).into()
}

fn of_agent(ending: Ending) -> AttemptEnd {
    match ending {
        Ending::Exited(code) => AttemptEnd::Exited(code),
        Ending::Signalled(_) | Ending::Stopped => AttemptEnd::Signalled,
        Ending::TimedOut | Ending::Silent => AttemptEnd::OutOfTime,
    }
}

/// Returns a failure together with what the agent said last and what is known of its end.
fn failing(
    repo: &Repo,
    held: &Held,
    worktree: &Path,
    ended: &Ended,
    end: AttemptEnd,
    failure: CheckFailure,
) -> Result<Assessed> {
    let a = &held.assignment;
    let head = repo.read_ref(&format!("refs/heads/{}", a.branch))?;
    let facts = EndFacts {
        end,
        took: ended.took,
        has_commits: head != load_start(repo, &a.task, a.attempt)?,
        disk_is_full: disk::is_full(worktree) || disk::is_full(repo.common_dir()),
    };
    Ok(Assessed::Failed(Failing {
        facts,
        reason: agents::with_last_words(&failure.reason, &ended.tail),
        findings: findings(&failure.findings, &ended.tail),
        missing: failure.missing,
    }))
}

/// Adds what the agent says of its work to what was found out about it.
fn with_words_of(found: Handoff, said: Handoff) -> Handoff {
    let Handoff {
        summary,
        next_steps,
        ..
    } = said;
    Handoff {
        summary: if summary.trim().is_empty() {
            found.summary.clone()
        } else {
            event::one_line(&summary)
        },
        next_steps,
        ..found
    }
}

/// Returns what the next attempt is told: the reason, and what the agent printed last.
fn findings(what: &str, tail: &str) -> String {
    let tail = tail.trim_end();
    if tail.is_empty() {
        return format!("{what}\n\nThe agent printed nothing.");
    }
    let lines: Vec<&str> = tail.lines().collect();
    let last = &lines[lines.len().saturating_sub(MOST_LINES)..];
    format!("{what}\n\nThe agent printed last:\n{}", last.join("\n"))
}

/// Most lines of an agent's output that go into the ledger; the log has them all.
const MOST_LINES: usize = 40;
