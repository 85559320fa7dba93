//! Taking coders' worktrees away: refused while work would be lost, and even by force saved first.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::leftovers::save_leftovers;
use super::place::{Place, worktrees_dir};
use super::private::bring_back;
use super::recovery::keep_loose;
use super::uncommitted::{Change, changes_alone, ignored};
use super::worktree::coder_of;
use super::{obstacles, settings, trash};
use crate::error::UserError;
use crate::git::Repo;
use crate::git::worktree::{Head, is_locked, read_head};
use crate::model::AgentId;
use crate::model::artefacts::can_be_built_again;

/// Why ignored files are kept.
const IGNORED: &str = "ignored by git in a worktree that was removed";

/// Removes all coders' worktrees, and empties the trash of what nobody misses. Returns what became of them.
///
/// # Errors
///
/// One of them holds uncommitted files or commits that no branch reaches, or was locked by a person:
/// then none is removed.
pub fn remove_all(repo: &Repo) -> Result<Vec<Removed>> {
    let mut found = Vec::new();
    for linked in repo.linked_worktrees()? {
        let Some(agent) = coder_of(&linked) else {
            continue;
        };
        let place = Place::of(repo, agent);
        let own = place.lock(repo)?;
        // Somebody else's worktree that happens to be called like one of ours.
        if place.dir != linked.dir && linked.dir.exists() {
            continue;
        }
        found.push((place, own));
    }
    for (place, _) in &found {
        require_no_work(repo, place)?;
    }
    let mut gone = Vec::new();
    for (place, _own) in &found {
        gone.push(take_away(repo, place)?);
    }
    trash::empty(repo)?;
    // Whatever else lies there is not ours to delete.
    let _ = fs::remove_dir(trash::dir(repo));
    let _ = fs::remove_dir(worktrees_dir(repo));
    Ok(gone)
}

/// Removes one coder's worktree. Files that Git ignores and no tool can build again go to the trash.
///
/// # Errors
///
/// It holds uncommitted files or commits that no branch reaches, or was locked by a person.
pub fn remove(repo: &Repo, agent: AgentId) -> Result<Removed> {
    let place = Place::of(repo, agent);
    let _own = place.lock(repo)?;
    require_no_work(repo, &place)?;
    take_away(repo, &place)
}

/// Removes one coder's worktree whatever it holds: uncommitted work is saved first, and what no commit can hold goes
/// to the trash.
///
/// # Errors
///
/// It was locked by a person, or what it holds cannot be saved.
pub fn remove_by_force(repo: &Repo, agent: AgentId) -> Result<Removed> {
    let place = Place::of(repo, agent);
    let _own = place.lock(repo)?;
    bring_back(repo, &place)?;
    require_not_locked(&place)?;
    let has_files = fs::symlink_metadata(&place.dir).is_ok();
    // What Git does not know cannot be saved as a commit.
    if !place.is_linked() && !place.mend(repo)? {
        settings::remove(repo, agent)?;
        return Ok(Removed {
            aside: has_files,
            ..Removed::default()
        });
    }
    let reason = "left in the worktree when it was removed";
    let Ok(saved) = save_leftovers(repo, &place.dir, reason) else {
        return set_aside(
            repo,
            &place,
            "it was removed, and could not be saved as a commit",
        );
    };
    if holds_what_no_commit_can(repo, &place)? {
        let removed = set_aside(
            repo,
            &place,
            "it was removed, and holds repositories of its own",
        )?;
        return Ok(Removed { saved, ..removed });
    }
    let removed = take_away(repo, &place)?;
    Ok(Removed { saved, ..removed })
}

/// What became of a worktree that was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// The ref that keeps what was uncommitted in it.
    pub saved: Option<String>,
    /// Whether it lies in the trash as it was.
    pub aside: bool,
    /// What Git ignored in it and nobody can build again, and the place in the trash where it lies.
    pub kept: Vec<String>,
    /// That place.
    pub kept_in: Option<PathBuf>,
    /// What Git ignored in it and tools make again, which is not kept.
    pub left_out: Vec<String>,
}

/// Moves a worktree to the trash as it is.
fn set_aside(repo: &Repo, place: &Place, why: &str) -> Result<Removed> {
    place.set_aside(repo, why)?;
    settings::remove(repo, place.agent)?;
    Ok(Removed {
        aside: true,
        ..Removed::default()
    })
}

/// Returns whether there are repositories in a worktree: of submodules, or untracked ones.
fn holds_what_no_commit_can(repo: &Repo, place: &Place) -> Result<bool> {
    let has_modules = place.admin.join("modules").is_dir();
    let found = changes_alone(repo, &place.dir)?;
    Ok(has_modules || found.iter().any(Change::is_nested_repository))
}

/// Takes a worktree without work in it away. Where it cannot be known what is in it, it is kept as it is.
fn take_away(repo: &Repo, place: &Place) -> Result<Removed> {
    let has_files = fs::symlink_metadata(&place.dir).is_ok();
    if has_files && !place.is_linked() {
        return set_aside(repo, place, "it was removed, and git did not know it");
    }
    let mut removed = Removed::default();
    if has_files {
        removed = keep_ignored(repo, place)?;
    }
    let to = trash::gone_slot(repo, place.agent)?;
    keep_loose(repo, &place.agent.to_string(), &place.admin)?;
    let alone = repo.lock_worktrees()?;
    repo.remove_worktree(&alone, &place.linked(), &to)?;
    settings::remove(repo, place.agent)?;
    Ok(removed)
}

/// Moves what Git ignores to the trash, except for what tools make again.
fn keep_ignored(repo: &Repo, place: &Place) -> Result<Removed> {
    let name = |path: &PathBuf| path.to_string_lossy().into_owned();
    let found = ignored(repo, &place.dir)?;
    let is_cache = |path: &Path| place.dir.join(path).join("CACHEDIR.TAG").is_file();
    let is_built = |path: &PathBuf| can_be_built_again(&name(path)) || is_cache(path);
    let (built, mut others): (Vec<_>, Vec<_>) = found.into_iter().partition(is_built);
    others.extend(obstacles::beside_the_view(place)?);
    Ok(Removed {
        kept: others.iter().map(name).collect(),
        kept_in: obstacles::move_aside(repo, place, &others, IGNORED)?,
        left_out: built.iter().map(name).collect(),
        ..Removed::default()
    })
}

fn require_not_locked(place: &Place) -> Result<()> {
    if !is_locked(&place.admin) {
        return Ok(());
    }
    let error = format!("the worktree of coder {} is locked", place.agent);
    Err(UserError::new(error)
        .hint(format!("git worktree unlock '{}'", place.dir.display()))
        .into())
}

fn require_no_work(repo: &Repo, place: &Place) -> Result<()> {
    let agent = place.agent;
    bring_back(repo, place)?;
    require_not_locked(place)?;
    if !place.is_linked() {
        return Ok(());
    }
    let left = changes_alone(repo, &place.dir)?;
    if let Some(first) = left.first() {
        let more = match left.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        let error = UserError::new(format!(
            "coder {agent} has uncommitted work in {}: `{}`{more}",
            place.dir.display(),
            first.line().trim()
        ));
        // A stash holds neither what git does not look at nor repositories.
        let fits = |change: &Change| change.hidden.is_none() && !change.is_nested_repository();
        let dir = place.dir.display();
        let error = match left.iter().all(fits) {
            true => error.hint(format!("git -C '{dir}' stash --include-untracked")),
            false => error,
        };
        return Err(error
            .hint(format!("git orch worktree remove {agent} --force"))
            .into());
    }
    if let Head::Detached(commit) = read_head(&place.admin) {
        let reached = repo
            .git()
            .args(["for-each-ref", "--count=1", "--format=%(refname)"])
            .args(["--contains", &commit.to_string()])
            .args(["refs/heads", "refs/remotes", "refs/tags"])
            .read()?;
        if reached.is_empty() {
            return Err(UserError::new(format!(
                "coder {agent} has commits in {} that no branch reaches",
                place.dir.display()
            ))
            .hint(format!("git branch kept-{agent} {commit}"))
            .into());
        }
    }
    require_no_modules(place)
}

/// Repositories of submodules live in the worktree's administrative directory, commits and all.
fn require_no_modules(place: &Place) -> Result<()> {
    let modules = place.admin.join("modules");
    if !modules.is_dir() {
        return Ok(());
    }
    let error = format!(
        "coder {} has initialised submodules in {}, which may hold commits",
        place.agent,
        place.dir.display()
    );
    Err(UserError::new(error)
        .hint(format!("git orch worktree remove {} --force", place.agent))
        .into())
}
