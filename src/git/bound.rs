//! Whether the environment binds Git to another repository than the one that a directory belongs to.
//!
//! `git --git-dir=<a> orch …` names a repository as clearly as `cd` does. Git's hooks name their own in the same
//! way, so the same repository is no contradiction; another one is, and guessing which is meant would change the
//! wrong one.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Repo, files};
use crate::config;
use crate::error::UserError;

/// Checks that whatever repository and worktree the environment names are those found in a directory. What does not
/// exist names nothing.
///
/// # Errors
///
/// They are others: nobody can tell which are meant.
pub fn require_here(found: Option<&Repo>, dir: &Path) -> Result<()> {
    let there = |path: PathBuf| dir.join(path).canonicalize().ok();
    if let Some(git_dir) = config::given_git_dir().and_then(there)
        && found.map(Repo::common_dir) != Some(&common_dir(&git_dir))
    {
        return Err(elsewhere("GIT_DIR", &git_dir));
    }
    if let Some(top) = config::given_work_tree().and_then(there)
        && found.and_then(Repo::work_dir) != Some(&top)
    {
        return Err(elsewhere("GIT_WORK_TREE", &top));
    }
    Ok(())
}

/// Returns the Git directory that all worktrees of a Git directory's repository share.
fn common_dir(git_dir: &Path) -> PathBuf {
    // It may be a `.git` file that names the directory.
    let named = files::read_pointer(git_dir);
    let named = named.as_deref().map(String::from_utf8_lossy);
    let git_dir = match named
        .as_deref()
        .and_then(|text| text.strip_prefix("gitdir:"))
    {
        Some(path) => git_dir.with_file_name("").join(path.trim()),
        None => git_dir.to_path_buf(),
    };
    let common = match files::read_pointer(&git_dir.join("commondir")) {
        Some(text) => git_dir.join(String::from_utf8_lossy(&text).trim_end()),
        None => git_dir,
    };
    common.canonicalize().unwrap_or(common)
}

fn elsewhere(name: &str, place: &Path) -> anyhow::Error {
    let top = match place.file_name() {
        Some(name) if name == ".git" => place.parent().unwrap_or(place),
        _ => place,
    };
    UserError::new(format!(
        "{name} names {}, and git orch works on the repository of its directory only",
        place.display()
    ))
    .hint(format!("git -C '{}' orch status", top.display()))
    .into()
}
