//! Locks that killed processes have left.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::finding::Finding;
use crate::config;
use crate::git::Repo;
use crate::git::locks::{LeftLock, left_locks};
use crate::ledger::Ledger;

/// Directories of refs that are searched for locks, down to this depth.
const DEPTH: usize = 6;

pub(super) fn check(repo: &Repo) -> Result<Vec<Finding>> {
    let common = repo.common_dir();
    let of = |name: &str| common.join(format!("{name}.lock"));
    let ledger = config::ledger_ref(repo);
    let dead = repo.dead_writers(&Ledger::refs_moved_alone(&ledger))?;
    let taken: Vec<PathBuf> = dead.iter().filter_map(|w| w.lock.clone()).collect();
    let mut findings: Vec<Finding> = dead
        .into_iter()
        .map(|writer| {
            let place = writer.lock.as_ref().unwrap_or(&writer.scratch).clone();
            let what = "a killed git-orch has left a lock of its own";
            Finding::at("stale-lock", &place, what).fix(move |_| {
                writer.clear()?;
                Ok(String::from("it was taken away"))
            })
        })
        .collect();
    let mut others = vec![of("packed-refs"), of("config"), of(&ledger)];
    for refs in ["refs/heads/orch", "refs/orch"] {
        find_locks(&common.join(refs), DEPTH, &mut others);
    }
    others.sort();
    others.dedup();
    others.retain(|path| !taken.contains(path));
    findings.extend(
        left_locks(&others)
            .into_iter()
            .map(|lock| of_git(lock, true)),
    );
    Ok(findings)
}

/// Returns the finding for a lock of git's. It is mended where nobody has touched it for long.
pub(super) fn of_git(lock: LeftLock, may_mend: bool) -> Finding {
    let by_hand = format!("rm '{}' if no git process is running", lock.path.display());
    if !lock.is_dead || !may_mend {
        let what = "a git process holds this lock, or was killed and has left it";
        return Finding::at("stale-lock", &lock.path, what).command(by_hand);
    }
    let what = "nobody has touched this lock for so long that its git process is gone";
    Finding::at("stale-lock", &lock.path.clone(), what)
        .command(by_hand)
        .fix(move |_| {
            lock.remove()?;
            Ok(String::from("it was taken away"))
        })
}

fn find_locks(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find_locks(&path, depth, found);
        } else if path.extension().is_some_and(|end| end == "lock") {
            found.push(path);
        }
    }
}
