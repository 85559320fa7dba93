//! Worktrees that have a branch checked out: whether it may be moved under them, and how their files follow.
//!
//! Nothing of the user's is overwritten: a worktree with changes, an operation under way or a file in the
//! way is refused before anything moves, and `git read-tree -m -u` checks the same once more.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::cmd::Git;
use super::files::read_whole;
use super::main_worktree::MainWorktree;
use super::objects::blob_id;
use super::worktree::{Head, read_head, registered_dir};
use super::{ChangedPath, Oid, Repo};
use crate::error::UserError;

/// One worktree of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// Its top directory.
    pub dir: PathBuf,
    /// Its own Git directory.
    pub git_dir: PathBuf,
    /// Full name of the branch that it has checked out.
    pub branch: Option<String>,
}

/// Files and directories of a Git directory that tell of an operation under way.
const UNDER_WAY: [(&str, &str); 6] = [
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
    ("sequencer", "cherry-pick"),
];

/// How the names under `<common>/worktrees/` of worktrees begin that tests run in. Whatever a test checks out
/// there is nobody's work.
pub const TEST_WORKTREE: &str = "orch-assembler";

/// Most names that a message lists.
const MOST_NAMES: usize = 5;

impl Repo {
    /// Returns all worktrees that exist on this disk, the main one first; those that only tests run in are left
    /// out.
    ///
    /// # Errors
    ///
    /// The common Git directory cannot be read.
    pub fn checkouts(&self) -> Result<Vec<Checkout>> {
        let mut found = self.registered()?;
        found.retain(|checkout| checkout.dir.is_dir());
        Ok(found)
    }

    /// Returns the same with those whose directory is not there, on a disk that is taken out for example.
    fn registered(&self) -> Result<Vec<Checkout>> {
        let common = self.common_dir();
        let mut found = Vec::new();
        if let Some(dir) = self.main_work_dir() {
            found.push((dir, common.to_path_buf()));
        }
        let admin: Vec<PathBuf> = match fs::read_dir(common.join("worktrees")) {
            Ok(listing) => listing
                .flatten()
                .filter(|entry| !is_for_tests(&entry.file_name()))
                .map(|entry| entry.path())
                .collect(),
            Err(_) => Vec::new(),
        };
        // A worktree may be taken away by someone else while we look.
        let dirs = admin
            .into_iter()
            .filter_map(|admin| Some((registered_dir(&admin)?, admin)));
        found.extend(dirs);
        let checkout = |(dir, git_dir): (PathBuf, PathBuf)| Checkout {
            branch: match read_head(&git_dir) {
                Head::Branch(name) => Some(format!("refs/heads/{name}")),
                Head::Detached(_) | Head::Broken => None,
            },
            dir,
            git_dir,
        };
        Ok(found.into_iter().map(checkout).collect())
    }

    /// Returns the worktrees whose files follow a branch (full name), by whatever symbolic name they have it.
    ///
    /// # Errors
    ///
    /// The common Git directory cannot be read.
    pub fn checkouts_of(&self, branch: &str) -> Result<Vec<Checkout>> {
        let end = self.end_of_ref(branch);
        let mut found = self.checkouts()?;
        found.retain(|checkout| {
            let name = checkout.branch.as_ref();
            name.is_some_and(|name| self.end_of_ref(name) == end)
        });
        Ok(found)
    }

    /// Returns the worktrees that have one of some branches (full names) checked out, all of them ready for
    /// the branch to move; each has that name of its branch that was asked about.
    ///
    /// # Errors
    ///
    /// One of them has changes, an operation under way, or is not there; or nobody knows where the main worktree
    /// is, which has one of them. What to do is told.
    pub fn require_movable(&self, branches: &[String]) -> Result<Vec<Checkout>> {
        let ends: Vec<String> = branches.iter().map(|name| self.end_of_ref(name)).collect();
        let asked = |name: &str| {
            let end = self.end_of_ref(name);
            let position = ends.iter().position(|other| *other == end);
            position.map(|position| branches[position].clone())
        };
        // A checkout that was declared bare is nobody's intent: nothing moves until that is settled.
        let is_disputed = matches!(self.main_worktree(), MainWorktree::Disputed(_));
        if let Head::Branch(name) = read_head(self.common_dir())
            && (is_disputed || asked(&format!("refs/heads/{name}")).is_some())
        {
            self.require_main_worktree()?;
        }
        let mut concerned = Vec::new();
        for mut checkout in self.registered()? {
            if let Some(branch) = checkout.rebased().iter().find_map(|name| asked(name)) {
                return Err(checkout.busy(&branch, "rebase"));
            }
            if let Some(branch) = checkout.branch.as_deref().and_then(asked) {
                if !checkout.dir.is_dir() {
                    return Err(checkout.missing(&branch));
                }
                checkout.branch = Some(branch);
                checkout.require_clean()?;
                concerned.push(checkout);
            }
        }
        Ok(concerned)
    }
}

impl Checkout {
    /// Checks that nothing would be lost or mixed up if the branch moved.
    ///
    /// # Errors
    ///
    /// There are changes, or an operation is under way.
    pub fn require_clean(&self) -> Result<()> {
        let branch = self.branch.as_deref().unwrap_or("HEAD");
        for (name, verb) in UNDER_WAY {
            if self.git_dir.join(name).exists() {
                return Err(self.busy(branch, verb));
            }
        }
        let changed = self.changed()?;
        if changed.is_empty() {
            return Ok(());
        }
        let dir = self.dir.display();
        Err(UserError::new(format!(
            "{} is checked out at {dir} with changes that are not committed: {}",
            short(branch),
            some_of(&changed)
        ))
        .hint(format!("git -C '{dir}' stash"))
        .into())
    }

    fn busy(&self, branch: &str, verb: &str) -> anyhow::Error {
        let dir = self.dir.display();
        UserError::new(format!(
            "a {verb} of {} is under way at {dir}",
            short(branch)
        ))
        .hint(format!("git -C '{dir}' status"))
        .into()
    }

    fn missing(&self, branch: &str) -> anyhow::Error {
        let dir = self.dir.display();
        UserError::new(format!(
            "{} is checked out at {dir}, which is not there, so its files could not follow",
            short(branch)
        ))
        .hint("bring it back, or `git worktree prune` if it is gone for good")
        .into()
    }

    /// Returns the branches (full names) that a rebase under way here will move.
    fn rebased(&self) -> Vec<String> {
        let lines = |name: &str| {
            let text = read_whole(&self.git_dir.join(name)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            text.lines().map(|line| line.trim().to_owned()).collect()
        };
        let names: [Vec<String>; 3] = [
            "rebase-merge/head-name",
            "rebase-apply/head-name",
            // With `--update-refs`: names, each before its old and new commit.
            "rebase-merge/update-refs",
        ]
        .map(lines);
        let mut names = names.concat();
        names.retain(|name| name.starts_with("refs/"));
        names
    }

    /// Returns a `git` that sees this worktree, whatever its `.git` and the repository's configuration have been
    /// made to say.
    pub(super) fn git(&self) -> Git {
        Git::new(&self.dir)
            .env("GIT_DIR", &self.git_dir)
            .env("GIT_WORK_TREE", &self.dir)
    }

    /// Returns tracked files with changes. A submodule that is at another commit than recorded is left out:
    /// its own directory is never touched.
    fn changed(&self) -> Result<Vec<String>> {
        let bytes = self
            .git()
            .args(["status", "--porcelain=v1", "-z", "--no-renames"])
            .args(["--untracked-files=no", "--ignore-submodules=all"])
            .read_bytes()?;
        let entries = bytes.split(|byte| *byte == 0);
        Ok(entries
            .filter_map(|entry| entry.get(3..))
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect())
    }

    /// Checks that no untracked file lies where the move would put one, and that no file that it changes has edits
    /// that git was told not to look at.
    ///
    /// # Errors
    ///
    /// There are such files; they are named.
    pub fn require_free(&self, repo: &Repo, old: Oid, new: Oid) -> Result<()> {
        let changes = repo.changed_paths(old, new)?;
        self.require_no_hidden_edits(&changes)?;
        let (added, rest): (Vec<_>, Vec<_>) = changes.iter().partition(|path| path.old.0 == 0);
        let removed: std::collections::BTreeSet<&[u8]> = rest
            .iter()
            .filter(|path| path.new.0 == 0)
            .map(|path| path.path.as_slice())
            .collect();
        let mut taken = Vec::new();
        for path in added {
            let name = bytes_to_path(&path.path);
            let is_there = |place: &Path| self.dir.join(place).symlink_metadata();
            // A tracked file that goes makes room for a directory of its name, and the other way round.
            let parent_taken = name.ancestors().skip(1).any(|parent| {
                is_there(parent).is_ok_and(|meta| !meta.is_dir())
                    && !removed.contains(path_to_bytes(parent))
            });
            let makes_room = |meta: &fs::Metadata| {
                let mut prefix = path.path.clone();
                prefix.push(b'/');
                meta.is_dir() && removed.iter().any(|gone| gone.starts_with(&prefix))
            };
            let itself_taken = is_there(&name).is_ok_and(|meta| !makes_room(&meta));
            if parent_taken || itself_taken {
                taken.push(name.to_string_lossy().into_owned());
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
        let dir = self.dir.display();
        Err(UserError::new(format!(
            "files at {dir} that git does not track are in the way: {}",
            some_of(&taken)
        ))
        .hint(format!(
            "look at `git -C '{dir}' status --ignored` and move them away"
        ))
        .into())
    }

    /// `git status` tells nothing of what `update-index` was asked to skip or to assume unchanged, and `git
    /// read-tree` would stop at it when the branch has moved already.
    fn require_no_hidden_edits(&self, changes: &[ChangedPath]) -> Result<()> {
        let listed = self
            .git()
            .args(["ls-files", "-v", "-z", "--full-name"])
            .read_bytes()?;
        let entries = listed.split(|byte| *byte == 0);
        let hidden: std::collections::BTreeSet<&[u8]> = entries
            .filter(|entry| entry.first().is_some_and(|tag| is_hidden(*tag)))
            .filter_map(|entry| entry.get(2..))
            .collect();
        let mut edited = Vec::new();
        for change in changes {
            if hidden.contains(change.path.as_slice()) {
                let path = bytes_to_path(&change.path);
                let there = self.content(&path)?;
                if there.is_some_and(|there| there != change.old.1) {
                    edited.push(path.to_string_lossy().into_owned());
                }
            }
        }
        let Some(first) = edited.first() else {
            return Ok(());
        };
        let dir = self.dir.display();
        Err(UserError::new(format!(
            "files at {dir} have changes that git was told not to look at: {}",
            some_of(&edited)
        ))
        .hint(format!(
            "git -C '{dir}' update-index --no-skip-worktree --no-assume-unchanged '{first}', and commit or stash it"
        ))
        .into())
    }

    /// Returns whether the index is exactly a commit's tree.
    ///
    /// # Errors
    ///
    /// The index cannot be read.
    pub fn is_at(&self, commit: Oid) -> Result<bool> {
        self.git()
            .args(["diff-index", "--cached", "--quiet", &commit.to_string()])
            .test()
    }

    /// Brings index and files from one commit to another, after the branch has moved.
    ///
    /// # Errors
    ///
    /// Something is in the way; nothing of the user's is overwritten.
    pub fn follow(&self, old: Oid, new: Oid) -> Result<()> {
        let refresh = self
            .git()
            .args(["update-index", "-q", "--refresh"])
            .output()?;
        // Files that need an update are told by the exit code and found again by the next command.
        drop(refresh);
        self.git()
            .args(["read-tree", "-m", "-u"])
            .args([&old.to_string(), &new.to_string()])
            .run()
            .with_context(|| format!("cannot bring {} to {new}", self.dir.display()))
    }
}

impl Checkout {
    /// Does the rest of a [`Checkout::follow`] that was killed: some files may be the new ones already.
    ///
    /// # Errors
    ///
    /// A file is neither the old nor the new one, so it is somebody's work; nothing is overwritten.
    pub fn resume(&self, repo: &Repo, old: Oid, new: Oid) -> Result<()> {
        let lock = self.git_dir.join("index.lock");
        if lock.exists() {
            let dir = self.dir.display();
            return Err(UserError::new(format!(
                "the index of {dir} is locked by a git process, or by one that was killed"
            ))
            .hint(format!("rm '{}' if no git runs there", lock.display()))
            .into());
        }
        let Err(error) = self.follow(old, new) else {
            return Ok(());
        };
        if !self.is_between(repo, old, new)? {
            return Err(error);
        }
        self.reset(new)
    }

    /// Takes back what a [`Checkout::follow`] that failed or was killed has done, after the branch went back.
    ///
    /// # Errors
    ///
    /// A file is neither the old nor the new one, so it is somebody's work, or cannot be written.
    pub fn go_back(&self, repo: &Repo, old: Oid, new: Oid) -> Result<()> {
        if self.is_at(new)? {
            return self.follow(new, old);
        }
        if !self.is_between(repo, old, new)? {
            let dir = self.dir.display();
            return Err(UserError::new(format!("files at {dir} have other changes")).into());
        }
        self.reset(old)?;
        // What was added is in neither index nor tree, so it is nothing to git.
        for change in repo.changed_paths(old, new)? {
            let path = bytes_to_path(&change.path);
            let is_added = change.old.0 == 0 && self.content(&path)? == Some(change.new.1);
            if is_added {
                self.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes a file and the directories that it leaves empty.
    fn remove(&self, path: &Path) -> Result<()> {
        let place = self.dir.join(path);
        fs::remove_file(&place).with_context(|| format!("cannot remove {}", place.display()))?;
        let dirs = place.ancestors().skip(1);
        for dir in dirs.take_while(|dir| *dir != self.dir) {
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Returns whether every file is as one of two commits has it, and those that did not change between them are
    /// as the index has them.
    fn is_between(&self, repo: &Repo, old: Oid, new: Oid) -> Result<bool> {
        let changes = repo.changed_paths(old, new)?;
        let is_known = |path: &String| changes.iter().any(|c| c.path == path.as_bytes());
        if !self.changed()?.iter().all(is_known) {
            return Ok(false);
        }
        for change in &changes {
            if let Some(id) = self.content(&bytes_to_path(&change.path))?
                && ![change.old.1, change.new.1].contains(&id)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn reset(&self, commit: Oid) -> Result<()> {
        self.git()
            .args(["read-tree", "--reset", "-u", &commit.to_string()])
            .run()
    }

    /// Returns the object that a file of the worktree would be; `None` where there is no file.
    fn content(&self, path: &Path) -> Result<Option<Oid>> {
        let place = self.dir.join(path);
        let Ok(meta) = place.symlink_metadata() else {
            return Ok(None);
        };
        if meta.is_symlink() {
            let target = fs::read_link(&place).context("cannot read a link")?;
            return Ok(Some(blob_id(path_to_bytes(&target))));
        }
        if meta.is_dir() {
            // A directory that makes room for a file, or a submodule: its files are looked at by name.
            return Ok(None);
        }
        let id = self.git().arg("hash-object").arg("--").arg(path).read()?;
        Oid::from_hex(id.as_bytes())
            .map(Some)
            .context("git printed no object id")
    }
}

/// Whether `git ls-files -v` marks an entry so: lower case is assumed unchanged, `S` is skipped.
fn is_hidden(tag: u8) -> bool {
    tag == b'S' || tag.is_ascii_lowercase()
}

fn is_for_tests(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with(TEST_WORKTREE)
}

/// Returns a branch's name without `refs/heads/`.
pub fn short(branch: &str) -> &str {
    branch.strip_prefix("refs/heads/").unwrap_or(branch)
}

fn some_of(names: &[String]) -> String {
    let shown = names[..names.len().min(MOST_NAMES)].join(", ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn bytes_to_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

fn path_to_bytes(path: &Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes()
}
