//! Linked worktrees: listed, made, detached and taken away.
//!
//! Parallel `git worktree add` loses worktrees, since each reads the others' half-written administrative
//! directories. Here such a directory is written elsewhere and renamed into place when it is whole, under a
//! lock of ours; the files are checked out in parallel outside that lock. While a worktree is being made its
//! directory holds `locked` with git's own word for it, so `git worktree prune` leaves it alone.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result, bail};

use super::cmd::Git;
use super::files::{self, Lock};
use super::{Oid, Repo};
use crate::error::UserError;

/// What `locked` says while a worktree is being made; git's own word.
const BEING_MADE: &[u8] = b"initializing";

/// A linked worktree as its administrative directory tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// Name of the administrative directory.
    pub name: String,
    /// The administrative directory itself.
    pub admin: PathBuf,
    /// Where its files should be.
    pub dir: PathBuf,
    /// What its HEAD says.
    pub head: Head,
    /// Branches that a rebase or bisect there holds.
    pub reserved: Vec<String>,
}

/// What a HEAD says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// A branch is checked out; its short name.
    Branch(String),
    /// A commit is checked out.
    Detached(Oid),
    /// It is missing or says neither.
    Broken,
}

/// Who has a branch checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The main worktree, at a path.
    Main(PathBuf),
    /// A linked one.
    Linked(Linked),
}

/// A worktree to make.
#[derive(Debug, Clone, Copy)]
pub struct NewWorktree<'a> {
    /// Name of its administrative directory.
    pub name: &'a str,
    /// Where its files go; must not exist.
    pub dir: &'a Path,
    /// What it checks out.
    pub head: &'a Head,
    /// Directories to check out beside the files at the top; all where empty.
    ///
    /// Later `git` commands need `core.sparseCheckout` and `core.sparseCheckoutCone` in the configuration
    /// that they see in this worktree; that is the caller's part.
    pub cone: &'a [String],
}

impl Repo {
    /// Waits for the lock under which worktrees are registered, detached and taken away.
    ///
    /// # Errors
    ///
    /// The lock file cannot be created.
    pub fn lock_worktrees(&self) -> Result<Lock> {
        Lock::wait(&self.orch_dir().join("worktrees.lock"))
    }

    /// Returns the administrative directory of a linked worktree, whether it exists or not.
    pub fn worktree_admin(&self, name: &str) -> PathBuf {
        self.common_dir().join("worktrees").join(name)
    }

    /// Lists the linked worktrees, whether their files exist or not, ordered by name.
    ///
    /// # Errors
    ///
    /// The directory that lists them cannot be read.
    pub fn linked_worktrees(&self) -> Result<Vec<Linked>> {
        let dir = self.common_dir().join("worktrees");
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", dir.display()));
            }
        };
        let mut found = Vec::new();
        for entry in entries {
            let admin = entry
                .with_context(|| format!("cannot read {}", dir.display()))?
                .path();
            // Without a `gitdir` file it is no worktree, or one that git is about to make.
            if let Some(dir) = registered_dir(&admin) {
                found.push(Linked {
                    name: admin
                        .file_name()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned(),
                    head: read_head(&admin),
                    reserved: reserved_branches(&admin),
                    admin,
                    dir,
                });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Returns the worktrees in which a branch is checked out, or held by a rebase or bisect.
    ///
    /// # Errors
    ///
    /// The directory that lists worktrees cannot be read.
    pub fn branch_holders(&self, branch: &str) -> Result<Vec<Holder>> {
        let mut holders = Vec::new();
        if let Some(main) = self.main_work_dir() {
            let common = self.common_dir();
            let here = matches!(read_head(common), Head::Branch(name) if name == branch);
            if here || reserved_branches(common).iter().any(|name| name == branch) {
                holders.push(Holder::Main(main));
            }
        }
        let holds = |linked: &Linked| {
            matches!(&linked.head, Head::Branch(name) if name == branch)
                || linked.reserved.iter().any(|name| name == branch)
        };
        let linked = self.linked_worktrees()?.into_iter().filter(holds);
        holders.extend(linked.map(Holder::Linked));
        Ok(holders)
    }

    /// Makes a linked worktree: registers it under our lock, then checks its files out in parallel to others.
    ///
    /// A process killed on the way leaves a worktree for which [`is_being_made`] holds.
    ///
    /// # Errors
    ///
    /// The name, the directory or the branch is taken, or the disk cannot be written.
    pub fn add_worktree(&self, new: &NewWorktree<'_>) -> Result<()> {
        let admin = self.register_worktree(new)?;
        check_out(new)?;
        fs::remove_file(admin.join("locked"))
            .with_context(|| format!("cannot finish worktree {}", new.dir.display()))
    }

    /// Writes the administrative directory, the new directory and their links to each other.
    fn register_worktree(&self, new: &NewWorktree<'_>) -> Result<PathBuf> {
        let _lock = self.lock_worktrees()?;
        let admin = self.worktree_admin(new.name);
        if fs::symlink_metadata(&admin).is_ok() {
            bail!("there is a worktree called {} already", new.name);
        }
        if let Head::Branch(branch) = new.head
            && let Some(holder) = self.branch_holders(branch)?.into_iter().next()
        {
            return Err(checked_out_elsewhere(branch, &holder).into());
        }
        let write = || -> std::io::Result<()> {
            let parent = new.dir.parent().unwrap_or(Path::new("/"));
            fs::create_dir_all(parent)?;
            fs::create_dir(new.dir)?;
            let dir = new.dir.canonicalize()?;
            // Left by a process that was killed right here; the lock says that it is not at it any more.
            let staging = self.staging(new.name)?;
            put(&staging.join("HEAD"), &head_line(new.head))?;
            put(&staging.join("commondir"), b"../..\n")?;
            put(&staging.join("locked"), BEING_MADE)?;
            let link = [dir.join(".git").as_os_str().as_bytes(), b"\n"].concat();
            put(&staging.join("gitdir"), &link)?;
            if !new.cone.is_empty() {
                fs::create_dir(staging.join("info"))?;
                let patterns = cone_patterns(new.cone);
                put(&staging.join("info/sparse-checkout"), patterns.as_bytes())?;
            }
            let link = [b"gitdir: ", admin.as_os_str().as_bytes(), b"\n"].concat();
            put(&dir.join(".git"), &link)?;
            fs::create_dir_all(self.common_dir().join("worktrees"))?;
            fs::rename(&staging, &admin)
        };
        write().with_context(|| format!("cannot make worktree {}", new.dir.display()))?;
        Ok(admin)
    }

    /// Returns an empty directory under the common directory, free for the holder of the worktrees' lock.
    fn staging(&self, name: &str) -> std::io::Result<PathBuf> {
        let staging = self.orch_dir().join("staging").join(name);
        match fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&staging)?;
        Ok(staging)
    }

    /// Detaches a worktree's HEAD where it is, so that its branch is free; its files stay as they are.
    ///
    /// # Errors
    ///
    /// Its HEAD is locked or cannot be written.
    pub fn detach_worktree(&self, _alone: &Lock, linked: &Linked) -> Result<()> {
        let Head::Branch(branch) = &linked.head else {
            return Ok(());
        };
        // A HEAD on a branch without commits has nothing to be detached at.
        let Some(commit) = self.read_ref(&format!("refs/heads/{branch}"))? else {
            return Ok(());
        };
        let (head, lock) = (linked.admin.join("HEAD"), linked.admin.join("HEAD.lock"));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&lock)?;
            writeln!(file, "{commit}")?;
            fs::rename(&lock, &head)
        };
        write().with_context(|| format!("cannot detach HEAD of {}", linked.dir.display()))
    }

    /// Takes a worktree away: its directory is renamed to where the caller says, its registration deleted.
    ///
    /// # Errors
    ///
    /// Either cannot be renamed.
    pub fn remove_worktree(&self, alone: &Lock, linked: &Linked, to: &Path) -> Result<()> {
        match fs::rename(&linked.dir, to) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot move {} away", linked.dir.display()));
            }
        }
        self.forget_worktree(alone, &linked.name)
    }

    /// Deletes the registration of a worktree: at once for every reader, whatever happens on the way.
    ///
    /// # Errors
    ///
    /// It cannot be renamed or deleted.
    pub fn forget_worktree(&self, _alone: &Lock, name: &str) -> Result<()> {
        let admin = self.worktree_admin(name);
        let forget = || -> std::io::Result<()> {
            let gone = self.staging(name)?.join("gone");
            match fs::rename(&admin, &gone) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                other => other?,
            }
            fs::remove_dir_all(gone.parent().unwrap_or(&gone))?;
            // Git takes the list away with its last entry; not being empty is no failure.
            let _ = fs::remove_dir(self.common_dir().join("worktrees"));
            Ok(())
        };
        forget().with_context(|| format!("cannot delete {}", admin.display()))
    }
}

/// Returns whether a worktree was being made when its process ended, or still is.
pub fn is_being_made(admin: &Path) -> bool {
    files::read_pointer(&admin.join("locked")).is_some_and(|text| text.trim_ascii() == BEING_MADE)
}

/// Returns whether a person locked a worktree by `git worktree lock`.
pub fn is_locked(admin: &Path) -> bool {
    admin.join("locked").exists() && !is_being_made(admin)
}

/// Reads the HEAD of a Git directory.
pub fn read_head(git_dir: &Path) -> Head {
    let Some(text) = files::read_pointer(&git_dir.join("HEAD")) else {
        return Head::Broken;
    };
    let text = text.trim_ascii();
    match text.strip_prefix(b"ref:") {
        Some(name) => match name.trim_ascii().strip_prefix(b"refs/heads/") {
            Some(branch) => Head::Branch(String::from_utf8_lossy(branch).into_owned()),
            None => Head::Broken,
        },
        None => Oid::from_hex(text).map_or(Head::Broken, Head::Detached),
    }
}

/// Returns where a registered worktree's files should be; `None` where it does not say.
pub fn registered_dir(admin: &Path) -> Option<PathBuf> {
    let link = read_path(&admin.join("gitdir"), b"")?;
    admin.join(link).parent().map(Path::to_path_buf)
}

/// Returns the administrative directory that a worktree's `.git` file names; `None` where it is no such file.
pub fn linked_admin(dir: &Path) -> Option<PathBuf> {
    Some(dir.join(read_path(&dir.join(".git"), b"gitdir:")?))
}

/// Writes both links between a worktree and its administrative directory anew.
///
/// # Errors
///
/// Either cannot be written.
pub fn relink(admin: &Path, dir: &Path) -> Result<()> {
    let link = |prefix: &[u8], path: &Path| [prefix, path.as_os_str().as_bytes(), b"\n"].concat();
    files::replace(&admin.join("gitdir"), &link(b"", &dir.join(".git")))?;
    files::replace(&dir.join(".git"), &link(b"gitdir: ", admin))
}

/// Returns the error for a branch that somebody else's worktree has checked out.
pub fn checked_out_elsewhere(branch: &str, holder: &Holder) -> UserError {
    let dir = match holder {
        Holder::Main(dir) => dir,
        Holder::Linked(linked) => &linked.dir,
    };
    UserError::new(format!(
        "branch {branch} is checked out in {}",
        dir.display()
    ))
    .hint(format!("git -C '{}' switch --detach", dir.display()))
}

/// Renders the patterns of a cone, as `git sparse-checkout set --cone` would.
pub fn cone_patterns(cone: &[String]) -> String {
    let mut parents = std::collections::BTreeSet::new();
    let mut whole = std::collections::BTreeSet::new();
    for dir in cone {
        let dir = dir.trim_matches('/');
        if dir.is_empty() {
            continue;
        }
        for (at, _) in dir.match_indices('/') {
            parents.insert(&dir[..at]);
        }
        whole.insert(dir);
    }
    let escape = |dir: &str| -> String {
        let special = |c: char| matches!(c, '*' | '?' | '[' | '\\');
        dir.chars()
            .flat_map(|c| special(c).then_some('\\').into_iter().chain([c]))
            .collect()
    };
    let below_whole = |dir: &str| {
        dir.match_indices('/')
            .any(|(at, _)| whole.contains(&dir[..at]))
    };
    let mut text = String::from("/*\n!/*/\n");
    for dir in &parents {
        if !whole.contains(dir) && !below_whole(dir) {
            let dir = escape(dir);
            text.push_str(&format!("/{dir}/\n!/{dir}/*/\n"));
        }
    }
    for dir in &whole {
        if !below_whole(dir) {
            text.push_str(&format!("/{}/\n", escape(dir)));
        }
    }
    text
}

/// Checks the files out with gix, in twice the speed of git; by git where gix cannot.
fn check_out(new: &NewWorktree<'_>) -> Result<()> {
    let sparse = ["core.sparseCheckout=true", "core.sparseCheckoutCone=true"];
    let sparse: &[&str] = if new.cone.is_empty() { &[] } else { &sparse };
    if check_out_by_gix(new.dir, sparse).is_some() {
        return Ok(());
    }
    let overrides = sparse.iter().flat_map(|value| ["-c", *value]);
    Git::new(new.dir)
        .args(overrides)
        .args(["-c", "submodule.recurse=false"])
        .args(["reset", "--hard", "--quiet"])
        .run()
        .with_context(|| format!("cannot check out the files of {}", new.dir.display()))
}

/// Returns `None` where anything at all is not as it should be.
fn check_out_by_gix(dir: &Path, config: &[&str]) -> Option<()> {
    // Without a cache of delta bases every file is put together from the start of its chain of deltas, which
    // takes twice git's time in a tightly packed repository; git's own default is as large.
    let config = ["core.deltaBaseCacheLimit=96m"].iter().chain(config);
    let options = gix::open::Options::default().config_overrides(config.copied());
    let repo = gix::open_opts(dir, options).ok()?;
    let outcome = repo
        .worktree()?
        .checkout(gix::progress::Discard, &AtomicBool::new(false))
        .ok()?;
    let complete = outcome.collisions.is_empty()
        && outcome.errors.is_empty()
        && outcome.delayed_paths_unknown.is_empty()
        && outcome.delayed_paths_unprocessed.is_empty();
    complete.then_some(())
}

fn reserved_branches(git_dir: &Path) -> Vec<String> {
    let names = [
        "rebase-merge/head-name",
        "rebase-apply/head-name",
        "BISECT_START",
    ];
    let read = |name: &str| {
        let text = files::read_pointer(&git_dir.join(name))?;
        let text = String::from_utf8_lossy(&text);
        let text = text.trim();
        Some(text.strip_prefix("refs/heads/").unwrap_or(text).to_owned())
    };
    names.into_iter().filter_map(read).collect()
}

fn head_line(head: &Head) -> Vec<u8> {
    match head {
        Head::Branch(branch) => format!("ref: refs/heads/{branch}\n").into_bytes(),
        Head::Detached(commit) => format!("{commit}\n").into_bytes(),
        Head::Broken => Vec::new(),
    }
}

/// Reads a file that holds one path after a prefix.
fn read_path(file: &Path, prefix: &[u8]) -> Option<PathBuf> {
    let text = files::read_pointer(file)?;
    let path = text.strip_prefix(prefix)?.trim_ascii_start();
    let end = path
        .iter()
        .rposition(|byte| !matches!(byte, b'\n' | b'\r'))?;
    Some(PathBuf::from(OsString::from_vec(path[..=end].to_vec())))
}

fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    File::create(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cone_lists_parents_before_whole_directories() {
        let cone = ["src/a/b".to_owned(), "docs/".to_owned()];
        assert_eq!(
            cone_patterns(&cone),
            "/*\n!/*/\n/src/\n!/src/*/\n/src/a/\n!/src/a/*/\n/docs/\n/src/a/b/\n"
        );
    }

    #[test]
    fn a_cone_within_another_adds_nothing() {
        let cone = ["src".to_owned(), "src/a".to_owned(), "we[ird]".to_owned()];
        assert_eq!(cone_patterns(&cone), "/*\n!/*/\n/src/\n/we\\[ird]/\n");
    }
}
