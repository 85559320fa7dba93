//! One attempt's life outside the ledger: its files, its agent, its verdict.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::marks;
use crate::agents::{self, AttemptFiles, Briefing, Work};
use crate::error::UserError;
use crate::git::Repo;
use crate::git::files::{read_if_exists, replace};
use crate::ledger::Ledger;
use crate::model::{Board, Claim, CommitBy, Handoff, MachineId, event};
use crate::process::{self, Ended};
use crate::tasks::checks::Verdict;
use crate::tasks::submit::{self, Judged, Uncommitted};
use crate::tasks::uncommitted;
use crate::workspace::sandbox::Setting;
use crate::workspace::{self, Assignment, private, settings};

/// A claim of ours and where its files lie.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) assignment: Assignment,
    pub(super) files: AttemptFiles,
    /// By which its processes are found.
    pub(super) mark: String,
    /// Who commits what its agent leaves.
    pub(super) commit: CommitBy,
    /// The task's title, for commits in the agent's name.
    pub(super) title: String,
}

impl Held {
    /// Returns the claim as words about the task quote it.
    pub(super) fn claim(&self) -> Claim {
        Claim {
            task: self.assignment.task.clone(),
            agent: self.assignment.agent,
            attempt: self.assignment.attempt,
        }
    }

    /// Returns the coder's worktree, if there is one.
    pub(super) fn worktree(&self, repo: &Repo) -> Option<PathBuf> {
        let dir = repo.worktrees_dir().join(self.assignment.agent.to_string());
        dir.join(".git").exists().then_some(dir)
    }
}

/// Returns what is known of a claim that holds.
pub(super) fn held(ledger: &Ledger, assignment: Assignment, mark: String) -> Result<Held> {
    let board = ledger.board();
    let task = board
        .tasks
        .get(&assignment.task)
        .with_context(|| format!("task {} is gone", assignment.task))?;
    let profile = board.profile_of(task).1;
    let (repo, number) = (ledger.repo(), assignment.attempt);
    let files = AttemptFiles::of_profile(repo, &assignment.task, number, &board.run(), &profile);
    replace(&files.mark(), mark.as_bytes())?;
    Ok(Held {
        files,
        mark,
        commit: profile.commit,
        title: task.title.clone(),
        assignment,
    })
}

/// Returns whether the ledger still says that the claim holds and its agent works.
pub(super) fn is_working(board: &Board, held: &Held) -> bool {
    use crate::model::State::{Claimed, InProgress};
    let status = board
        .tasks
        .get(&held.assignment.task)
        .map(|task| &task.status);
    status.is_some_and(|status| {
        status.agent == Some(held.assignment.agent)
            && status.attempt == held.assignment.attempt
            && matches!(status.state, Claimed | InProgress)
    })
}

/// Writes the prompt and returns how to run the agent.
pub(super) fn brief(ledger: &Ledger, held: &Held, worktree: &Path) -> Result<process::Spec> {
    let briefing = Briefing::load(ledger, work(&held.assignment, worktree))?;
    let command = agents::command_line(&briefing)?;
    let prompt = agents::render(&briefing)?;
    replace(&held.files.prompt(), prompt.as_bytes())?;
    if let Some(findings) = &briefing.findings {
        replace(&held.files.findings(), findings.as_bytes())?;
    }
    let run = ledger.board().run();
    let Briefing { spec, profile, .. } = &briefing;
    let repo = ledger.repo();
    let settings = settings::of_commits(repo, held.assignment.agent);
    let mut env = agents::environment(&briefing, ledger.machine(), &settings);
    let setting = Setting::of(repo, &run, profile)?;
    let command = match setting.is_none() {
        true => command,
        false => {
            let private = private::lend(repo, &held.assignment)?;
            env.extend(setting.environment(&private));
            setting.agent(repo, worktree, &private, command)?
        }
    };
    let idle = spec.idle_timeout.or(profile.idle_timeout);
    Ok(process::Spec {
        command,
        dir: worktree.to_owned(),
        env,
        stdin: None,
        log: held.files.log(),
        wall: spec.timeout.or(profile.timeout).unwrap_or(run.timeout),
        idle: Some(idle.unwrap_or(run.idle_timeout)),
        mark: held.mark.clone(),
        jobserver: None,
    })
}

/// Returns the work of an assignment as agents are told it.
fn work(assignment: &Assignment, worktree: &Path) -> Work {
    Work {
        task: assignment.task.clone(),
        agent: assignment.agent,
        attempt: assignment.attempt,
        branch: assignment.branch.clone(),
        worktree: worktree.to_owned(),
    }
}

/// Judges an attempt whose agent ended by itself: is it done, and does its work hold (C3).
pub(super) fn judge(
    ledger: &Ledger,
    held: &Held,
    worktree: &Path,
    ended: &Ended,
) -> Result<Judged> {
    let (a, repo) = (&held.assignment, ledger.repo());
    let row = ledger
        .board()
        .require_task(&a.task)
        .map_err(UserError::from)?;
    let sign = ledger.board().profile_of(row).1.done;
    let failed = |reason: String| Judged {
        verdict: Verdict::Failed {
            findings: findings(&reason, &ended.tail),
            reason,
        },
        notes: Vec::new(),
    };
    let broken = |error: &anyhow::Error| event::one_line(&format!("{error:#}"));
    if let Err(error) = workspace::bring_home(repo, a.agent) {
        return Ok(failed(broken(&error)));
    }
    let result = agents::read_result(&held.files.result(), &a.task);
    let said = match &result {
        Ok(result) => agents::judge(sign, ended, result.as_ref()),
        Err(error) => Err(format!("{error:#}")),
    };
    if let Err(reason) = said {
        return Ok(failed(reason));
    }
    let work = submit::Work {
        ledger,
        assignment: a,
        dir: worktree,
        log: &held.files.log(),
    };
    let uncommitted = match held.commit {
        CommitBy::Executor => Uncommitted::IsCommitted(&held.title),
        CommitBy::Agent => Uncommitted::IsAFailure,
    };
    let judged = match submit::judge(&work, uncommitted) {
        // What is no person's or agent's doing says nothing about the work.
        Err(error) if !error.is::<UserError>() => return Err(error),
        Err(error) => failed(broken(&error)),
        Ok(judged) => judged,
    };
    Ok(match (judged.verdict, result) {
        (Verdict::Passed { head, handoff }, Ok(Some(said))) => Judged {
            verdict: Verdict::Passed {
                head,
                handoff: with_words_of(handoff, said),
            },
            notes: judged.notes,
        },
        (verdict, _) => Judged { verdict, ..judged },
    })
}

/// Keeps the work of an attempt that is broken off: on its branch as far as the ledger can be read and lets it, the
/// rest under a recovery ref; tells of the latter.
pub(super) fn keep_work(
    repo: &Repo,
    ledger: Option<&Ledger>,
    held: &Held,
    why: &str,
) -> Result<Option<String>> {
    workspace::bring_home(repo, held.assignment.agent)?;
    let Some(worktree) = held.worktree(repo) else {
        return Ok(None);
    };
    if let (CommitBy::Executor, Some(ledger)) = (held.commit, ledger) {
        // Where this is refused, its error names the ref that keeps the work instead.
        let subject = unfinished(&held.title);
        let taken = uncommitted::take(ledger, &held.assignment, &worktree, &subject)?;
        return Ok(uncommitted::told(&taken));
    }
    let kept = workspace::save_leftovers(repo, &worktree, why)?;
    Ok(kept.map(|kept| format!("what it left is kept as {kept}")))
}

fn unfinished(title: &str) -> String {
    format!("unfinished: {title}")
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
pub(super) fn findings(reason: &str, tail: &str) -> String {
    let tail = tail.trim_end();
    if tail.is_empty() {
        return format!("{reason}; it printed nothing");
    }
    let lines: Vec<&str> = tail.lines().collect();
    let last = &lines[lines.len().saturating_sub(MOST_LINES)..];
    format!("{reason}; it printed last:\n{}", last.join("\n"))
}

/// Most lines of an agent's output that go into the ledger; the log has them all.
const MOST_LINES: usize = 40;

/// Returns the claims that a run on this machine has left on the board, with the marks of their processes.
pub(super) fn left_behind(
    repo: &Repo,
    board: &Board,
    machine: &MachineId,
) -> Result<Vec<(Claim, String)>> {
    use crate::model::State::{Claimed, InProgress};
    let mut found = Vec::new();
    for task in board.tasks.values() {
        let status = &task.status;
        let ours = status.machine.as_ref() == Some(machine);
        let (true, Claimed | InProgress, Some(agent)) = (ours, status.state, status.agent) else {
            continue;
        };
        let files = AttemptFiles::new(repo, &task.id, status.attempt);
        let mark = match read_if_exists(&files.mark())? {
            Some(mark) => String::from_utf8(mark).context("the mark is no text")?,
            None => match &status.op {
                Some(op) if status.state == Claimed && marks::is_announced(repo, op) => {
                    op.0.clone()
                }
                // It was made by hand or by the agent itself, and is its own matter.
                _ => continue,
            },
        };
        let claim = Claim {
            task: task.id.clone(),
            agent,
            attempt: status.attempt,
        };
        found.push((claim, mark));
    }
    Ok(found)
}
