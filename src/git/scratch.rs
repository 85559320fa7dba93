//! Objects that are tried out and thrown away: a store beside the repository's own, which stays clean.
//!
//! Git reads from both and writes to the scratch one only. Nothing in it is flushed to the disk, and no ref
//! ever names an object in it.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::num::NonZero;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::checkout::Checkout;
use super::cmd::Git;
use super::files::replace;
use super::{Oid, Repo};

/// Most bytes of one new file that is counted as work in progress; what is larger is rarely source.
const MOST_NEW_BYTES: u64 = 1 << 20;

/// Most new files of one worktree that are counted as work in progress.
const MOST_NEW_FILES: usize = 2000;

/// A store for objects that may go at any moment.
#[derive(Debug)]
pub struct Scratch {
    objects: PathBuf,
    /// Removes the directory in the end, where nobody wants to keep it.
    _temporary: Option<TempDir>,
}

impl Scratch {
    /// Returns a store in a directory that is kept, made where it does not exist.
    ///
    /// # Errors
    ///
    /// The directory cannot be written.
    pub fn keep(repo: &Repo, dir: &Path) -> Result<Self> {
        let objects = dir.join("objects");
        let alternates = objects.join("info/alternates");
        if !alternates.exists() {
            // A file and not `GIT_ALTERNATE_OBJECT_DIRECTORIES`, in which a colon would part two paths.
            let mut line = repo
                .common_dir()
                .join("objects")
                .as_os_str()
                .as_bytes()
                .to_vec();
            line.push(b'\n');
            replace(&alternates, &line)?;
        }
        Ok(Self {
            objects,
            _temporary: None,
        })
    }

    /// Returns a store that goes with this value.
    ///
    /// # Errors
    ///
    /// The system's directory for temporary files cannot be written.
    pub fn temporary(repo: &Repo) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("git-orch-")
            .tempdir()
            .context("cannot make a temporary directory")?;
        let scratch = Self::keep(repo, dir.path())?;
        Ok(Self {
            _temporary: Some(dir),
            ..scratch
        })
    }

    /// Lets a command read objects of both stores and write to this one.
    pub(super) fn bind(&self, git: Git) -> Git {
        git.env("GIT_OBJECT_DIRECTORY", &self.objects).args([
            "-c",
            "core.fsync=none",
            "-c",
            "gc.auto=0",
        ])
    }
}

/// Files of one worktree that are not as its head has them.
#[derive(Debug)]
pub struct Uncommitted(BTreeSet<Vec<u8>>);

/// Looks at worktrees for what is not committed, as many at a time as there are cores.
///
/// Ignored files do not count, nor do new files that are very large or very many.
///
/// # Errors
///
/// Of each worktree its own: git cannot look at it.
pub fn uncommitted(checkouts: &[&Checkout]) -> Vec<Result<Uncommitted>> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = checkouts.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let part = |part: &[&Checkout]| part.iter().map(|one| look(one)).collect::<Vec<_>>();
        let parts = checkouts.chunks(share);
        let workers: Vec<_> = parts
            .map(|checkouts| scope.spawn(move || part(checkouts)))
            .collect();
        let results = workers.into_iter().map(|worker| match worker.join() {
            Ok(results) => results,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.flatten().collect()
    })
}

fn look(checkout: &Checkout) -> Result<Uncommitted> {
    let status = in_worktree(checkout)
        .args(["status", "--porcelain=v1", "-z", "--no-renames", "-uall"])
        .arg("--ignore-submodules=all")
        .read_bytes()?;
    Ok(Uncommitted(changed_files(&checkout.dir, &status)))
}

fn in_worktree(checkout: &Checkout) -> Git {
    checkout
        .git()
        .arg("--no-optional-locks")
        .args(["-c", "core.fsmonitor=false"])
}

impl Repo {
    /// Returns a commit, in the scratch store, of a worktree as it lies there: its head and what is not
    /// committed. `None` where that is nothing.
    ///
    /// The worktree, its index and the repository stay as they are.
    ///
    /// # Errors
    ///
    /// Git cannot read the worktree.
    pub fn work_in_progress(
        &self,
        scratch: &Scratch,
        checkout: &Checkout,
        head: Oid,
        uncommitted: Uncommitted,
    ) -> Result<Option<Oid>> {
        if uncommitted.0.is_empty() {
            return Ok(None);
        }
        let index = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
        match copy_with_time(&checkout.git_dir.join("index"), index.path()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context("cannot copy a worktree's index"),
        }
        let with_index = || {
            scratch
                .bind(in_worktree(checkout))
                .env("GIT_INDEX_FILE", index.path())
        };
        let mut list = uncommitted.0.into_iter().collect::<Vec<_>>().join(&0);
        list.push(0);
        with_index()
            .args(["update-index", "--add", "--remove", "-z", "--stdin"])
            .stdin(list)
            .run()?;
        let tree = with_index().arg("write-tree").read()?;
        if Oid::from_hex(tree.as_bytes()).ok() == Some(self.read_commit(head)?.tree) {
            return Ok(None);
        }
        // The same work gives the same commit, so that what is known of it stays known.
        let git = scratch
            .bind(self.git())
            .args(["commit-tree", "-m", "work in progress"])
            .args(["-p", &head.to_string(), &tree]);
        let id = as_nobody(git).read()?;
        Oid::from_hex(id.as_bytes())
            .with_context(|| format!("git named no commit but `{id}`"))
            .map(Some)
    }
}

/// Lets a command commit in nobody's name at no time: the same content always gives the same commit.
pub(super) fn as_nobody(mut git: Git) -> Git {
    for who in ["AUTHOR", "COMMITTER"] {
        git = git
            .env(&format!("GIT_{who}_NAME"), "git-orch")
            .env(&format!("GIT_{who}_EMAIL"), "git-orch@invalid")
            .env(&format!("GIT_{who}_DATE"), "@0 +0000");
    }
    git
}

/// Copies a file and its time: by the time of an index git knows which files may have changed unseen.
fn copy_with_time(from: &Path, to: &Path) -> std::io::Result<()> {
    let time = fs::metadata(from)?.modified()?;
    fs::copy(from, to)?;
    fs::File::options().write(true).open(to)?.set_modified(time)
}

/// Returns the files that `git status --porcelain -z` lists and that count.
fn changed_files(dir: &Path, status: &[u8]) -> BTreeSet<Vec<u8>> {
    let (mut found, mut new) = (BTreeSet::new(), 0);
    for entry in status.split(|byte| *byte == 0) {
        let Some((code, path)) = entry.split_at_checked(3) else {
            continue;
        };
        if code == b"?? " {
            let at = dir.join(std::ffi::OsString::from_vec(path.to_vec()));
            let small = fs::symlink_metadata(&at).is_ok_and(|data| data.len() <= MOST_NEW_BYTES);
            // A repository within is listed by its directory.
            if path.ends_with(b"/") || !small || new == MOST_NEW_FILES {
                continue;
            }
            new += 1;
        }
        found.insert(path.to_vec());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_counts_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        fs::File::create(dir.path().join("large"))
            .unwrap()
            .set_len(MOST_NEW_BYTES + 1)
            .unwrap();
        fs::File::create(dir.path().join("small")).unwrap();
        let status = b" M changed\0?? small\0?? large\0?? nested/\0D  gone\0";
        let found = changed_files(dir.path(), status);
        let expected: BTreeSet<Vec<u8>> = [&b"changed"[..], b"gone", b"small"]
            .map(<[u8]>::to_vec)
            .into();
        assert_eq!(found, expected);
    }
}
