//! Coders' worktrees as they are found, without changing anything; and mending one of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::confined::{is_busy, is_lent};
use super::place::{Place, worktrees_dir};
use crate::git::Repo;
use crate::git::worktree::{Head, is_being_made, is_locked, read_head};
use crate::model::AgentId;

/// How a coder's worktree is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Files and registration belong together.
    Sound,
    /// It is registered with Git, and its files are gone.
    NoFiles,
    /// Its files are there, and Git knows nothing of them.
    Unregistered,
    /// Its making was cut short.
    HalfMade,
}

/// A coder's worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The coder.
    pub agent: AgentId,
    /// Where its files are or should be.
    pub dir: PathBuf,
    /// Its administrative directory.
    pub admin: PathBuf,
    /// How it is found.
    pub condition: Condition,
    /// The branch that it is on; `None` where it is parked.
    pub branch: Option<String>,
    /// Whether a person locked it by `git worktree lock`.
    pub is_locked: bool,
    /// Whether something in a sandbox is at work there: Git is not run there meanwhile.
    pub is_busy: bool,
}

/// Looks at every coder's worktree that is registered or has files; those that another process is making or
/// removing just now are left out.
///
/// # Errors
///
/// A directory cannot be read.
pub fn inspect(repo: &Repo) -> Result<Vec<Found>> {
    let registered = names(&repo.common_dir().join("worktrees"));
    let registered = registered
        .iter()
        .filter_map(|name| name.strip_prefix("orch-")?.parse().ok());
    let with_files = names(&worktrees_dir(repo));
    let with_files = with_files.iter().filter_map(|name| name.parse().ok());
    let agents: BTreeSet<AgentId> = registered.chain(with_files).collect();
    let mut found = Vec::new();
    for agent in agents {
        let place = Place::of(repo, agent);
        let Some(_own) = place.try_lock(repo)? else {
            continue;
        };
        found.push(look(repo, &place));
    }
    Ok(found)
}

fn look(repo: &Repo, place: &Place) -> Found {
    let has_files = fs::symlink_metadata(&place.dir).is_ok();
    let sound = place.is_linked()
        && read_head(&place.admin) != Head::Broken
        && place.admin.join("commondir").is_file();
    let condition = match (has_files, sound) {
        (false, _) => Condition::NoFiles,
        (true, false) if is_lent(repo, place.agent) => Condition::Sound,
        (true, false) => Condition::Unregistered,
        (true, true) if is_being_made(&place.admin) => Condition::HalfMade,
        (true, true) => Condition::Sound,
    };
    Found {
        agent: place.agent,
        dir: place.dir.clone(),
        admin: place.admin.clone(),
        condition,
        branch: match read_head(&place.admin) {
            Head::Branch(branch) => Some(branch),
            Head::Detached(_) | Head::Broken => None,
        },
        is_locked: is_locked(&place.admin),
        is_busy: is_busy(repo, place.agent),
    }
}

/// Mends a coder's worktree or clears its place; whatever could be work is set aside.
///
/// # Errors
///
/// Its files are somewhere else, a person locked it, or the disk cannot be written.
pub fn mend(repo: &Repo, agent: AgentId) -> Result<()> {
    let place = Place::of(repo, agent);
    let _own = place.lock(repo)?;
    if is_lent(repo, agent) {
        return Ok(());
    }
    place.mend(repo).map(drop)
}

/// Returns the names in a directory in order; none where there is no such directory.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
