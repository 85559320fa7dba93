//! Where a repository's main worktree is, by Git's own rules.
//!
//! Seen from the main worktree itself there is no question. Seen from a linked one, Git has `core.worktree` (a
//! submodule) or the directory that `.git` lies in. A Git directory that lies elsewhere (`git init
//! --separate-git-dir`) says nothing of where it is used: that is noted when git-orch runs in the main
//! worktree, and checked whenever it is read. Where nobody knows, whoever must know is told so.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::cmd::Git;
use super::{Repo, files, opening};
use crate::error::UserError;

/// Where the main worktree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MainWorktree {
    /// There is none: the repository is bare.
    None,
    /// At this directory.
    At(PathBuf),
    /// The repository says that it is bare, and this directory has files of it checked out.
    Disputed(PathBuf),
    /// Somewhere, and nothing says where.
    Unknown,
}

/// Most tracked files that are looked for where a bare repository may have been a usual one.
const MOST_LOOKED_FOR: usize = 1000;

impl Repo {
    /// Returns where the main worktree is.
    pub fn main_worktree(&self) -> &MainWorktree {
        self.main.get_or_init(|| self.find_main_worktree())
    }

    /// Returns the top of the main worktree, as far as it is known; `None` in a bare repository.
    pub fn main_work_dir(&self) -> Option<PathBuf> {
        match self.main_worktree() {
            MainWorktree::At(dir) | MainWorktree::Disputed(dir) => Some(dir.clone()),
            MainWorktree::None | MainWorktree::Unknown => None,
        }
    }

    /// Checks that it is known where the main worktree is, or that there is none.
    ///
    /// # Errors
    ///
    /// Nobody knows, or the repository contradicts itself; what to do is told.
    pub fn require_main_worktree(&self) -> Result<()> {
        let error = match self.main_worktree() {
            MainWorktree::None | MainWorktree::At(_) => return Ok(()),
            MainWorktree::Disputed(dir) => {
                let dir = dir.display();
                UserError::new(format!(
                    "the repository says that it is bare (core.bare), and {dir} has its files checked out"
                ))
                .hint(format!("git -C '{dir}' config core.bare false"))
            }
            MainWorktree::Unknown => UserError::new(format!(
                "nothing says where the main worktree of {} is",
                self.common_dir().display()
            ))
            .hint("run `git orch init` there, once: it is noted then"),
        };
        Err(error.into())
    }

    fn find_main_worktree(&self) -> MainWorktree {
        let common = self.common_dir();
        let (top, is_bare) = match self.is_linked() {
            false => (self.work_dir().map(Path::to_path_buf), self.is_bare()),
            true => match opening::open(common) {
                Ok(main) => {
                    let top = main.workdir().and_then(|top| top.canonicalize().ok());
                    let is_bare = main.config_snapshot().boolean("core.bare");
                    (top, is_bare.unwrap_or(false))
                }
                Err(_) => (None, self.is_bare()),
            },
        };
        if let Some(top) = top {
            return MainWorktree::At(top);
        }
        let usual = common
            .parent()
            .filter(|_| common.file_name() == Some(OsStr::new(".git")))
            .map(Path::to_path_buf);
        match (usual.or_else(|| self.noted_main()), is_bare) {
            (Some(dir), false) => MainWorktree::At(dir),
            (Some(dir), true) if self.has_files_in(&dir) => MainWorktree::Disputed(dir),
            (_, true) => MainWorktree::None,
            (None, false) => MainWorktree::Unknown,
        }
    }

    /// Returns whether the index of the common directory names files that lie in a directory: in a bare
    /// repository there is none, and one that is made bare on purpose has no files around it.
    fn has_files_in(&self, dir: &Path) -> bool {
        if !self.common_dir().join("index").exists() {
            return false;
        }
        let listed = Git::new(self.common_dir())
            .env("GIT_DIR", self.common_dir())
            .env("GIT_WORK_TREE", dir)
            .args(["ls-files", "-z", "--full-name", ":/"])
            .read_bytes()
            .unwrap_or_default();
        let paths = listed.split(|byte| *byte == 0).take(MOST_LOOKED_FOR);
        let mut paths = paths.filter(|path| !path.is_empty());
        paths.any(|path| dir.join(OsStr::from_bytes(path)).symlink_metadata().is_ok())
    }

    /// Notes where the main worktree is, where that cannot be found out from elsewhere.
    pub fn note_main_worktree(&self) {
        let usual = self.common_dir().parent();
        let Some(top) = self.work_dir().filter(|_| !self.is_linked()) else {
            return;
        };
        let is_usual = Some(top) == usual || self.config("core.worktree").is_some();
        if is_usual || !self.orch_dir().is_dir() || self.noted_main().as_deref() == Some(top) {
            return;
        }
        // Whoever must not write here does not decide where the worktree is either.
        let _ = files::replace(&self.note(), top.as_os_str().as_bytes());
    }

    fn note(&self) -> PathBuf {
        self.orch_dir().join("main-worktree")
    }

    /// Returns the noted directory, if it still leads to this repository.
    fn noted_main(&self) -> Option<PathBuf> {
        let text = files::read_pointer(&self.note())?;
        let dir = PathBuf::from(OsStr::from_bytes(&text));
        (self.leads_here(&dir)).then_some(dir)
    }

    fn leads_here(&self, dir: &Path) -> bool {
        leads_to(dir, self.common_dir())
    }

    /// Returns the directory beside the repository that holds the coders' worktrees (docs/decisions/worktrees.md). A submodule has
    /// them beside the outermost repository, so that they lie in nobody's worktree.
    pub fn worktrees_dir(&self) -> PathBuf {
        let top = self
            .main_work_dir()
            .unwrap_or_else(|| self.common_dir().to_path_buf());
        let outer = self.outermost(&top);
        let inside = top.strip_prefix(&outer).unwrap_or(Path::new(""));
        let mut name = outer
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for part in inside {
            name.push('.');
            name.push_str(&part.to_string_lossy());
        }
        let name = name
            .strip_suffix(".git")
            .filter(|rest| !rest.is_empty())
            .unwrap_or(&name);
        outer
            .parent()
            .unwrap_or(&outer)
            .join(format!("{name}.orch"))
    }

    /// Returns the top of the outermost repository that this one is a submodule of, or its own.
    fn outermost(&self, top: &Path) -> PathBuf {
        let common = self.common_dir();
        let is_modules = |dir: &&Path| dir.file_name() == Some(OsStr::new("modules"));
        let holder = common.ancestors().skip(1).filter(is_modules).last();
        let holder = holder.and_then(Path::parent);
        let outer = holder.and_then(|git_dir| {
            let mut tops = top.ancestors().skip(1);
            tops.find(|dir| leads_to(dir, git_dir))
        });
        outer.unwrap_or(top).to_path_buf()
    }
}

/// Returns whether a directory is the top of a worktree of a Git directory.
fn leads_to(dir: &Path, git_dir: &Path) -> bool {
    let dot_git = dir.join(".git");
    let is = |path: &Path| path.canonicalize().is_ok_and(|path| path == git_dir);
    if fs::symlink_metadata(&dot_git).is_ok_and(|found| found.is_file()) {
        let text = files::read_pointer(&dot_git).unwrap_or_default();
        let path = text.strip_prefix(b"gitdir:").unwrap_or_default();
        return is(&dir.join(OsStr::from_bytes(path.trim_ascii())));
    }
    is(&dot_git)
}
