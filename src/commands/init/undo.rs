//! `git orch init --undo`: takes everything of ours away, unless work would be lost.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::{existing, join};
use crate::answer::{Answer, Reply};
use crate::assembler::landing;
use crate::assembler::lock::Alone;
use crate::commands::Ctx;
use crate::error::{Exit, UserError};
use crate::git::files::Lock;
use crate::git::recovery::RECOVERY;
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};
use crate::ledger::Ledger;
use crate::ledger::signatures::verified_path;
use crate::ui::Paint;
use crate::{assembler, config, hooks, workspace};

/// How many branches a refusal names.
const MOST_SHOWN: usize = 8;

/// A ref of ours.
struct Ours {
    name: String,
    id: Oid,
    /// Worktree that has it checked out; empty where none has.
    worktree: String,
}

pub(super) fn run(ctx: &Ctx, repo: &Repo) -> Result<Reply> {
    let ledger = existing(repo)?;
    let refs = ours(repo)?;
    if ledger.is_none() && refs.is_empty() && !repo.orch_dir().exists() {
        return Err(UserError::new("there is nothing of git-orch's here")
            .exit(Exit::NothingToDo)
            .into());
    }
    if let Some(ledger) = &ledger {
        refuse_held(ledger)?;
    }
    let base = ledger
        .as_ref()
        .map(|ledger| ledger.board().settings.base.clone());
    refuse_unmerged(repo, base.as_deref(), &refs)?;
    refuse_checked_out(repo, &refs)?;
    let running = Lock::take(&repo.orch_dir().join("run.lock"))?.ok_or_else(|| {
        UserError::new("`git orch run` is running in this repository").hint("git orch status")
    })?;
    let assembling = Alone::take(repo)?;
    landing::finish_interrupted(repo, &assembling)?;
    // No transition may come between: whoever waits for the lock finds no ledger afterwards.
    let alone = Lock::wait(&repo.orch_dir().join("lock"))?;
    let removed = workspace::remove_all(repo)?;
    assembler::remove_worktrees(repo, &assembling)?;
    delete(repo, &refs)?;
    hooks::uninstall(repo)?;
    join::forget_remote(repo)?;
    workspace::exclude_remove(repo)?;
    // Gone with the ledger that it is about.
    let _ = fs::remove_file(verified_path(repo));
    fs::remove_dir_all(repo.orch_dir())
        .with_context(|| format!("cannot remove {}", repo.orch_dir().display()))?;
    drop((running, assembling, alone));
    let names: Vec<&str> = refs.iter().map(|ours| ours.name.as_str()).collect();
    let kept: Vec<_> = removed.into_iter().filter_map(|one| one.kept_in).collect();
    let mut reply = ctx.answer(&TakenAway {
        undone: true,
        refs: names,
        kept_in: &kept,
    })?;
    for place in &kept {
        reply = reply.note(format!(
            "what git ignored in a worktree, and no tool builds again, is kept in {}",
            place.display()
        ));
    }
    Ok(reply)
}

/// What was taken away.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TakenAway<'a> {
    undone: bool,
    /// Branches and refs that are gone.
    refs: Vec<&'a str>,
    /// Directories that keep what git ignored in worktrees.
    kept_in: &'a [PathBuf],
}

impl Answer for TakenAway<'_> {
    fn text(&self, _: Paint) -> String {
        let count = match self.refs.len() {
            1 => String::from("1 branch"),
            n => format!("{n} branches and refs"),
        };
        format!("everything of git-orch's is gone: {count}, hooks, worktrees, logs")
    }
}

/// Returns the ledger's branch, the branches that git-orch names itself, and `refs/orch/`.
///
/// A branch that a plan names for a task belongs to whoever wrote the plan, and stays.
fn ours(repo: &Repo) -> Result<Vec<Ours>> {
    let ledger = config::ledger_ref(repo);
    let listed = repo
        .git()
        .args([
            "for-each-ref",
            "--format=%(objectname) %(refname) %(worktreepath)",
        ])
        .args([ledger.as_str(), "refs/heads/orch/", "refs/orch/"])
        .read()?;
    let mut found = Vec::new();
    for line in listed.lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(id), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        let below = name.strip_prefix("refs/heads/orch/");
        let is_ours = below.is_none_or(|rest| rest == "integration" || rest.starts_with("team-"));
        if is_ours {
            found.push(Ours {
                name: name.to_owned(),
                id: Oid::from_hex(id.as_bytes()).context("git listed no object id")?,
                worktree: words.next().unwrap_or_default().to_owned(),
            });
        }
    }
    Ok(found)
}

fn refuse_held(ledger: &Ledger) -> Result<()> {
    let held = ledger
        .board()
        .tasks
        .values()
        .find(|task| task.status.state.is_held());
    let Some(task) = held else { return Ok(()) };
    let holder = task
        .status
        .agent
        .map_or_else(|| String::from("someone"), |agent| format!("agent {agent}"));
    let error =
        UserError::new(format!("{holder} is working on task {}", task.id)).hint("git orch status");
    let Some(agent) = task.status.agent else {
        return Err(error.into());
    };
    Err(error
        .hint(format!(
            "git orch fail {} --agent {agent} --attempt {} -m 'not wanted any more'",
            task.id, task.status.attempt
        ))
        .into())
}

/// Work is whatever a branch or a saved state of ours holds, and no branch or tag of anyone else's.
fn refuse_unmerged(repo: &Repo, base: Option<&str>, refs: &[Ours]) -> Result<()> {
    let ledger = config::ledger_ref(repo);
    let is_work =
        |ours: &&Ours| ours.name.starts_with("refs/heads/orch/") || ours.name.starts_with(RECOVERY);
    // A copy of what is in a person's stash is nobody's work.
    let stashed = workspace::shared::stashed(repo)?;
    let is_copy = |ours: &Ours| {
        let commit = repo.resolve_commit(&ours.name);
        commit.is_ok_and(|commit| stashed.contains(&commit))
    };
    let mut left = Vec::new();
    for ours in refs.iter().filter(is_work) {
        if is_copy(ours) {
            continue;
        }
        let count = repo
            .git()
            .args(["rev-list", "--count", "-1", &ours.id.to_string(), "--not"])
            .args(["--exclude=orch/integration", "--exclude=orch/team-*"])
            .arg(format!(
                "--exclude={}",
                ledger.trim_start_matches("refs/heads/")
            ))
            .args(["--branches", "--tags", "--remotes"])
            .read()?;
        if count != "0" {
            left.push(ours.name.as_str());
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    let mut shown: Vec<&str> = left
        .iter()
        .take(MOST_SHOWN)
        .map(|name| name.trim_start_matches("refs/heads/"))
        .collect();
    let more = format!("{} more", left.len().saturating_sub(MOST_SHOWN));
    if left.len() > MOST_SHOWN {
        shown.push(&more);
    }
    let into = base.unwrap_or("any branch of yours");
    let first = left[0].trim_start_matches("refs/heads/");
    let error = UserError::new(format!(
        "work would be lost that is not in {into}: {}",
        shown.join(", ")
    ))
    .hint("`git orch assemble`, then `git orch approve`, to bring it in");
    let error = match left.iter().any(|name| name.starts_with(RECOVERY)) {
        true => error.hint("git orch recover list"),
        false => error,
    };
    let error = error.hint(format!("git branch kept {first}, to keep it elsewhere"));
    Err(match left[0].strip_prefix(&format!("{RECOVERY}/")) {
        Some(id) => error.hint(format!(
            "`git orch recover prune {id}` gives it up for good"
        )),
        None => error.hint(format!(
            "git update-ref -d {}, to give it up for good",
            left[0]
        )),
    }
    .into())
}

/// A branch that somebody has checked out cannot go without breaking that worktree.
fn refuse_checked_out(repo: &Repo, refs: &[Ours]) -> Result<()> {
    let coders = repo.worktrees_dir();
    let taken = refs.iter().find(|ours| {
        !ours.worktree.is_empty() && !std::path::Path::new(&ours.worktree).starts_with(&coders)
    });
    let Some(taken) = taken else { return Ok(()) };
    let short = taken.name.trim_start_matches("refs/heads/");
    Err(UserError::new(format!(
        "branch {short} is checked out at {}",
        taken.worktree
    ))
    .hint(format!("git -C '{}' switch --detach", taken.worktree))
    .into())
}

fn delete(repo: &Repo, refs: &[Ours]) -> Result<()> {
    if refs.is_empty() {
        return Ok(());
    }
    let moves: Vec<_> = refs
        .iter()
        .map(|ours| (ours.name.as_str(), Some(ours.id), None))
        .collect();
    match repo.swap_refs(&moves, "orch: init --undo")? {
        Swap::Won => {}
        Swap::Lost => {
            return Err(
                UserError::new("someone moved a branch of git-orch's meanwhile")
                    .hint("git orch init --undo")
                    .into(),
            );
        }
    }
    // Directories that only held our refs; what is not empty is not ours.
    for dir in [
        RECOVERY,
        "refs/orch/lease",
        "refs/orch/verdict",
        "refs/orch/conflict",
        "refs/orch/resolution",
        "refs/orch",
        "refs/heads/orch",
    ] {
        let _ = fs::remove_dir(repo.common_dir().join(dir));
        let _ = fs::remove_dir(repo.common_dir().join("logs").join(dir));
    }
    Ok(())
}
