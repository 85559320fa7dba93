//! Which commit brought something in: the merges along a branch's first parents.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::error::{Exit, UserError};
use crate::git::checkout::short;
use crate::git::{Oid, Repo};
use crate::ledger::Ledger;
use crate::model::train::INTEGRATION;
use crate::model::{State, TaskId};

use crate::assembler::team_branches::oid;
use crate::assembler::undone::UNDOES;

/// How far back the last landing is looked for.
const MOST_COMMITS: usize = 10_000;

/// One landing.
#[derive(Debug, Clone)]
pub(super) struct Landing {
    /// The commit that brought the work in.
    pub(super) commit: Oid,
    /// Where the branch was before.
    pub(super) before: Oid,
    /// The task whose work it is.
    pub(super) task: Option<TaskId>,
}

impl Landing {
    /// Returns what it is called in messages.
    pub(super) fn name(&self) -> String {
        match &self.task {
            Some(task) => task.to_string(),
            None => self.commit.to_hex_with_len(12).to_string(),
        }
    }
}

/// Finds a landing on the integration branch: of a task, by commit, or the last one.
pub(super) fn of_plan(
    ledger: &Ledger,
    repo: &Repo,
    what: Option<&str>,
    tip: Oid,
) -> Result<Landing> {
    let board = ledger.board();
    let task_of = |commit: Oid| {
        let brought = |task: &&crate::model::Task| {
            task.status.state == State::Merged
                && task.status.commit.as_ref().and_then(oid) == Some(commit)
        };
        board
            .tasks
            .values()
            .find(brought)
            .map(|task| task.id.clone())
    };
    let named = what.and_then(|what| what.parse::<TaskId>().ok());
    let task = named.and_then(|id| board.tasks.get(&id));
    let commit = match (what, task) {
        (_, Some(task)) => {
            let id = &task.id;
            if task.status.state != State::Merged {
                return Err(UserError::new(format!(
                    "task {id} is {}: there is no landing of it to undo",
                    task.status.state
                ))
                .hint(format!("git orch status {id}"))
                .into());
            }
            let commit = task.status.commit.as_ref().and_then(oid);
            commit.ok_or_else(|| nothing(INTEGRATION))?
        }
        (Some(what), None) => repo.resolve_commit(what).map_err(|_| {
            UserError::new(format!("there is no task and no commit {what}"))
                .hint(format!("git log --first-parent --oneline {INTEGRATION}"))
        })?,
        (None, None) => {
            let base = repo.read_ref(&format!("refs/heads/{}", board.settings.base))?;
            last(repo, tip, base)?.ok_or_else(|| nothing(INTEGRATION))?
        }
    };
    landing(repo, commit, INTEGRATION, tip, task_of(commit))
}

/// Finds a landing on any branch: by commit, or the last one.
pub(super) fn of_branch(
    repo: &Repo,
    what: Option<&str>,
    target: &str,
    tip: Oid,
) -> Result<Landing> {
    let target = short(target);
    let commit = match what {
        Some(what) => repo.resolve_commit(what).map_err(|_| {
            UserError::new(format!("there is no commit {what}"))
                .hint(format!("git log --first-parent --oneline {target}"))
        })?,
        None => last(repo, tip, None)?.ok_or_else(|| nothing(target))?,
    };
    landing(repo, commit, target, tip, None)
}

/// Returns the newest merge of a branch's line that is not undone.
fn last(repo: &Repo, tip: Oid, until: Option<Oid>) -> Result<Option<Oid>> {
    let text = repo
        .git()
        .args(["log", "--first-parent", "--no-show-signature", "-z"])
        .arg(format!("--max-count={MOST_COMMITS}"))
        .arg(format!(
            "--format=%H%n%P%n%(trailers:key={UNDOES},valueonly)"
        ))
        .arg(tip.to_string())
        .args(until.map(|until| format!("^{until}")))
        .read()?;
    let mut undone = BTreeSet::new();
    for entry in text.split('\0') {
        let mut lines = entry.lines();
        let (commit, parents) = (lines.next().unwrap_or_default(), lines.next());
        let is_merge = parents.is_some_and(|parents| parents.contains(' '));
        if is_merge && !undone.contains(commit) {
            return Oid::from_hex(commit.as_bytes())
                .map(Some)
                .map_err(Into::into);
        }
        undone.extend(lines.map(str::trim));
    }
    Ok(None)
}

/// Checks that a commit brought something into a branch.
fn landing(
    repo: &Repo,
    commit: Oid,
    target: &str,
    tip: Oid,
    task: Option<TaskId>,
) -> Result<Landing> {
    let log = format!("git log --first-parent --oneline {target}");
    let short = commit.to_hex_with_len(12);
    let parents = repo.read_commit(commit)?.parents;
    let &[before, _, ..] = parents.as_slice() else {
        return Err(UserError::new(format!(
            "{short} is no merge: it brought no branch into {target}"
        ))
        .hint(log)
        .into());
    };
    let on_line =
        repo.is_ancestor(commit, tip)? && repo.first_parents(tip, Some(before))?.contains(&commit);
    if !on_line {
        let text = format!("{short} is not among what landed on {target}");
        return Err(UserError::new(text).hint(log).into());
    }
    Ok(Landing {
        commit,
        before,
        task,
    })
}

/// Returns whether a branch stood at a commit before, by its reflog.
pub(super) fn has_stood(repo: &Repo, branch: &str, commit: Oid) -> Result<bool> {
    let log = repo
        .git()
        .args([
            "log",
            "-g",
            "--no-show-signature",
            "--format=%H",
            branch,
            "--",
        ])
        .output()?;
    let commit = commit.to_string();
    // Without a reflog nothing is known.
    Ok(log
        .stdout
        .split(|b| *b == b'\n')
        .any(|line| line == commit.as_bytes()))
}

/// There is nothing to undo.
pub(super) fn nothing(target: &str) -> anyhow::Error {
    UserError::new(format!(
        "there is nothing to undo: no landing on {target} is left that is not approved"
    ))
    .hint(format!("git log --first-parent --oneline {target}"))
    .exit(Exit::NothingToDo)
    .into()
}
