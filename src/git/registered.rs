//! Whose worktree a directory is, by the word of the repository that has registered it.
//!
//! A sandboxed agent may write all that lies in its worktree: a `.git` there may lead to a repository of the
//! agent's making, whose configuration names programs. So a coder's worktree is known by where it lies, and its
//! `.git` is not asked.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::worktree::{linked_admin, registered_dir};
use crate::config;
use crate::model::AgentId;

/// Returns the administrative directory of the coder's worktree that a directory is in; `None` where it is in none,
/// and in a sandbox, which sees what was made for it.
pub(super) fn coders_admin(dir: &Path) -> Option<PathBuf> {
    if config::sandbox().is_some() {
        return None;
    }
    let dir = dir.canonicalize().ok()?;
    let nearest = dir.ancestors().find(|top| is_there(&top.join(".git")));
    dir.ancestors().find_map(|top| {
        let (agent, common) = candidates(top)?;
        let admin = common
            .into_iter()
            .map(|common| common.join(format!("worktrees/orch-{agent}")))
            .find(|admin| {
                let registered = registered_dir(admin).and_then(|dir| dir.canonicalize().ok());
                registered.is_some_and(|dir| dir == top)
            })?;
        // A repository within a worktree is one, unless an agent in a sandbox may have made it.
        let is_lent = is_there(&lent_note(&admin, agent)?);
        (is_lent || nearest == Some(top)).then_some(admin)
    })
}

/// Returns the note that says to which repository of its agent's own a coder's worktree is lent.
fn lent_note(admin: &Path, agent: AgentId) -> Option<PathBuf> {
    let common = admin.parent()?.parent()?;
    Some(common.join(format!("orch/worktrees/{agent}.lent")))
}

/// Returns whose worktree a directory would be by its name, and the Git directories that may have registered it.
fn candidates(top: &Path) -> Option<(AgentId, Vec<PathBuf>)> {
    let agent = top.file_name()?.to_str()?.parse().ok()?;
    let dir = top.parent()?;
    let name = dir.file_name()?.to_str()?.strip_suffix(".orch")?;
    let beside = dir.parent()?;
    let main = beside.join(name);
    let mut bare = OsString::from(name);
    bare.push(".git");
    let mut common = vec![main.join(".git")];
    common.extend(linked_admin(&main));
    common.extend([main, beside.join(bare)]);
    Some((agent, common))
}

fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}
