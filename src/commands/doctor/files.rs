//! Files of ours that nobody needs any more, and caches that cannot be read.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::finding::Finding;
use crate::git::Repo;
use crate::git::locks::is_old;
use crate::ledger::Ledger;

/// How deep our directory is searched: `attempts/<task>/<attempt>/<file>`.
const DEPTH: usize = 4;

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in Ledger::dead_letters(repo) {
        let what = "a killed writer has left what it wanted of the ledger; it is not carried out";
        findings.push(removable("spool-stale", path, what));
    }
    let mut left = Vec::new();
    find_temporary(&repo.orch_dir(), DEPTH, &mut left);
    find_temporary(&repo.common_dir().join("info"), 1, &mut left);
    left.sort();
    for path in left {
        findings.push(removable(
            "temporary-left",
            path,
            "a killed process has left a temporary file",
        ));
    }
    for path in Ledger::broken_caches(repo) {
        let what = "a cache cannot be read; it is made anew when it is gone";
        findings.push(removable("cache-unreadable", path, what));
    }
    findings.extend(staging(repo));
    findings
}

fn removable(id: &'static str, path: PathBuf, what: &str) -> Finding {
    Finding::at(id, &path.clone(), what).fix(move |_| {
        remove(&path)?;
        Ok(String::from("it was deleted"))
    })
}

fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        // Somebody else was faster.
        Err(_) => return Ok(()),
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

/// Finds what [`crate::git::files::replace`] writes before it gives a file its name.
fn find_temporary(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find_temporary(&path, depth, found);
        } else if entry.file_name().to_string_lossy().starts_with(".orch-") && is_old(&path) {
            found.push(path);
        }
    }
}

/// Finds copies of indexes and half-written registrations, made under the worktrees' lock or for a moment.
fn staging(repo: &Repo) -> Vec<Finding> {
    let entries = fs::read_dir(repo.orch_dir().join("staging"));
    let mut paths: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_old(path))
        .collect();
    paths.sort();
    let finding = |path: PathBuf| {
        let what = "a killed process has left a directory that it was working in";
        Finding::at("temporary-left", &path.clone(), what).fix(move |repo| {
            let _alone = repo.lock_worktrees()?;
            if is_old(&path) {
                remove(&path)?;
            }
            Ok(String::from("it was deleted"))
        })
    };
    paths.into_iter().map(finding).collect()
}
