//! Lock files that were left behind: found, told apart by whose they are, and removed.
//!
//! Git's locks do not say whose they are, and breaking a live one loses an update. A lock is ours where it is
//! the same file as the scratch file that we make our locks from, and its maker is dead where nobody holds the
//! kernel's lock under which scratch files are made. Of all others only those that nobody has touched for much
//! longer than any git holds one are taken for dead.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use super::Repo;
use super::files::Lock;
use super::refs::remove_dead_locks;
use crate::clock;

/// How long a lock is watched before it is said to be left behind: git holds one for milliseconds.
const WATCHED: Duration = Duration::from_secs(1);

/// How old what nobody vouches for must be before it is taken for dead.
pub const LONG: Duration = Duration::from_secs(15 * 60);

/// A scratch file of ours whose maker is dead, and the lock that it is, if it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadWriter {
    /// The scratch file.
    pub scratch: PathBuf,
    /// The kernel's lock under which it was made.
    alone: PathBuf,
    /// Git's lock that it is.
    pub lock: Option<PathBuf>,
}

impl DeadWriter {
    /// Takes scratch file and lock away, unless another process has begun to write meanwhile: that one does it.
    ///
    /// # Errors
    ///
    /// Either cannot be removed.
    pub fn clear(&self) -> Result<()> {
        let Some(_alone) = Lock::take(&self.alone)? else {
            return Ok(());
        };
        remove_dead_locks(&self.scratch, self.lock.as_slice())
    }
}

/// A lock that nobody has touched while it was watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftLock {
    /// The lock's file.
    pub path: PathBuf,
    inode: u64,
    /// Whether nobody has touched it for so long that its owner is taken for dead.
    pub is_dead: bool,
}

impl LeftLock {
    /// Removes the lock, unless it is another one by now.
    ///
    /// # Errors
    ///
    /// It cannot be removed.
    pub fn remove(&self) -> Result<()> {
        if inode(&self.path) == Some(self.inode) {
            fs::remove_file(&self.path)
                .with_context(|| format!("cannot remove {}", self.path.display()))?;
        }
        Ok(())
    }
}

impl Repo {
    /// Returns scratch files of ours that killed processes have left. `refs` are those that we move by ourselves.
    ///
    /// # Errors
    ///
    /// A lock's file cannot be opened.
    pub fn dead_writers(&self, refs: &[&str]) -> Result<Vec<DeadWriter>> {
        let orch = self.orch_dir();
        let config = self.common_dir().join("config.lock");
        let shared = orch.join("worktree.gitconfig.lock");
        let mut kinds = vec![
            (orch.join("config.new"), "config.alone", vec![config]),
            (orch.join("worktree.new"), "worktree.alone", vec![shared]),
        ];
        let of_refs = self.scratches(refs).into_iter();
        kinds.extend(of_refs.map(|(scratch, locks)| (scratch, "lock", locks)));
        let mut found = Vec::new();
        for (scratch, alone, locks) in kinds {
            let alone = orch.join(alone);
            let Some(of_scratch) = inode(&scratch) else {
                continue;
            };
            // Whoever holds it is at work with the file in this moment.
            let Some(_alone) = Lock::take(&alone)? else {
                continue;
            };
            if inode(&scratch) != Some(of_scratch) {
                continue;
            }
            let lock = locks
                .into_iter()
                .find(|lock| inode(lock) == Some(of_scratch));
            found.push(DeadWriter {
                scratch,
                alone,
                lock,
            });
        }
        Ok(found)
    }
}

/// Watches locks for a moment and returns those that stayed as they were. Without any lock it takes no time.
pub fn left_locks(paths: &[PathBuf]) -> Vec<LeftLock> {
    let seen = |path: &PathBuf| Some((path.clone(), inode(path)?));
    let first: Vec<(PathBuf, u64)> = paths.iter().filter_map(seen).collect();
    if first.is_empty() {
        return Vec::new();
    }
    std::thread::sleep(WATCHED);
    first
        .into_iter()
        .filter(|(path, before)| inode(path) == Some(*before))
        .map(|(path, inode)| LeftLock {
            is_dead: is_old(&path),
            path,
            inode,
        })
        .collect()
}

/// Returns whether nobody has written a file for [`LONG`].
pub fn is_old(path: &Path) -> bool {
    let written = fs::symlink_metadata(path).and_then(|meta| meta.modified());
    let age = || {
        let written = written.ok()?.duration_since(UNIX_EPOCH).ok()?;
        let now = Duration::from_secs(u64::try_from(clock::now().0).ok()?);
        now.checked_sub(written)
    };
    age().is_some_and(|age| age >= LONG)
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).map(|meta| meta.ino()).ok()
}
