//! Refs that keep what would be lost otherwise, and unfinished operations that are ended.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::git::recovery::Saving;
use crate::git::worktree::{Head, read_head};
use crate::git::{Oid, Repo, files};

/// Why commits are kept that no branch has.
const LOOSE: &str = "only HEAD of a worktree, or an unfinished operation there, reached it";

/// Keeps the commits that a worktree's HEAD and its unfinished operations alone reach.
pub(super) fn keep_loose(repo: &Repo, owner: &str, admin: &Path) -> Result<()> {
    let mut commits = operation_commits(repo, admin, &OPERATION_COMMITS);
    let branch = match read_head(admin) {
        Head::Branch(branch) => Some(branch),
        Head::Detached(commit) => {
            commits.push(commit);
            None
        }
        Head::Broken => None,
    };
    for commit in commits {
        // A commit that is not there any more, after a hand-made mess, cannot be kept either.
        if repo.read_commit(commit).is_ok() && !is_reachable(repo, commit)? {
            let branch = branch.as_deref();
            repo.keep(
                &Saving {
                    branch,
                    ..Saving::new(owner, LOOSE)
                },
                commit,
            )?;
        }
    }
    Ok(())
}

/// Ends an unfinished merge, rebase, cherry-pick, revert or bisect without touching HEAD, index or files.
pub(super) fn end_operations(admin: &Path) -> Result<()> {
    for name in OPERATION_FILES {
        let path = admin.join(name);
        let removed = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(_) => continue,
        };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

const OPERATION_FILES: [&str; 18] = [
    "MERGE_HEAD",
    "MERGE_MODE",
    "MERGE_MSG",
    "MERGE_RR",
    "MERGE_AUTOSTASH",
    "AUTO_MERGE",
    "SQUASH_MSG",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "REBASE_HEAD",
    "sequencer",
    "rebase-merge",
    "rebase-apply",
    "BISECT_LOG",
    "BISECT_START",
    "BISECT_NAMES",
    "BISECT_TERMS",
    "BISECT_EXPECTED_REV",
];

/// Where an unfinished operation names commits that nothing else may reach.
pub(super) const OPERATION_COMMITS: [&str; 7] = [
    "MERGE_HEAD",
    "MERGE_AUTOSTASH",
    "CHERRY_PICK_HEAD",
    "rebase-merge/orig-head",
    "rebase-merge/autostash",
    "rebase-apply/orig-head",
    "rebase-apply/autostash",
];

/// Returns the commits that files of an unfinished operation name.
pub(super) fn operation_commits(repo: &Repo, admin: &Path, names: &[&str]) -> Vec<Oid> {
    let read = |name: &&str| files::read_pointer(&admin.join(name)).unwrap_or_default();
    let texts: Vec<Vec<u8>> = names.iter().map(read).collect();
    let texts = texts.iter().map(|text| String::from_utf8_lossy(text));
    let texts: Vec<_> = texts.collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    let oids = lines.filter_map(|line| Oid::from_hex(line.trim().as_bytes()).ok());
    oids.filter(|oid| repo.read_commit(*oid).is_ok()).collect()
}

/// Returns whether any ref reaches a commit.
pub(super) fn is_reachable(repo: &Repo, commit: Oid) -> Result<bool> {
    // Most often a ref is right there, which is much cheaper to find out than walking history.
    for filter in ["--points-at", "--contains"] {
        let found = repo
            .git()
            .args(["for-each-ref", "--count=1", "--format=%(refname)"])
            .args([filter, &commit.to_string()])
            .read()?;
        if !found.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
