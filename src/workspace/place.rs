//! Where a coder's worktree is, and what state it is found in.
//!
//! A process may have been killed at any moment, a person may have deleted or moved things: whatever is
//! found is either mended, or set aside and made anew. Callers hold the coder's own lock.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::confined::require_idle;
use super::recovery::keep_loose;
use super::settings::worktree_name;
use super::trash;
use super::uncommitted::PLAIN;
use crate::config;
use crate::error::UserError;
use crate::git::files;
use crate::git::files::Lock;
use crate::git::worktree::{
    Head, Linked, is_being_made, is_locked, linked_admin, read_head, registered_dir, relink,
};
use crate::git::{Git, Repo};
use crate::model::AgentId;

/// Why repositories of submodules are set aside.
const MODULES: &str = "repositories of submodules, of a worktree that was gone";

/// Where one coder works.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) agent: AgentId,
    /// Name under which Git knows it.
    pub(super) name: String,
    /// Directory of its files.
    pub(super) dir: PathBuf,
    /// Administrative directory.
    pub(super) admin: PathBuf,
    /// Time that Git may take to look at it.
    most: Duration,
}

impl Place {
    pub(super) fn of(repo: &Repo, agent: AgentId) -> Self {
        let name = worktree_name(agent);
        Self {
            agent,
            dir: worktrees_dir(repo).join(agent.to_string()),
            admin: repo.worktree_admin(&name),
            most: config::git_timeout(repo),
            name,
        }
    }

    /// Returns the coder's place that a directory is, by where it lies: what is in it may say anything.
    pub(super) fn at(repo: &Repo, dir: &Path) -> Option<Self> {
        let dir = dir.canonicalize().ok()?;
        let place = Self::of(repo, dir.file_name()?.to_str()?.parse().ok()?);
        (place.dir == dir).then_some(place)
    }

    /// Waits until no other process prepares or removes this coder's worktree.
    pub(super) fn lock(&self, repo: &Repo) -> Result<Lock> {
        Lock::wait(&self.lock_file(repo))
    }

    /// Takes that lock; `None` where another process prepares or removes the worktree just now.
    pub(super) fn try_lock(&self, repo: &Repo) -> Result<Option<Lock>> {
        Lock::take(&self.lock_file(repo))
    }

    fn lock_file(&self, repo: &Repo) -> PathBuf {
        repo.orch_dir()
            .join(format!("worktrees/{}.lock", self.agent))
    }

    /// File with the patterns of a sparse checkout; exists only where there is one.
    pub(super) fn patterns(&self) -> PathBuf {
        self.admin.join("info/sparse-checkout")
    }

    /// Returns a `git` that works on this worktree and runs no hooks, whatever its `.git` has been made to say.
    pub(super) fn git(&self) -> Git {
        Git::new(&self.dir)
            .env("GIT_DIR", &self.admin)
            .env("GIT_WORK_TREE", &self.dir)
            .within(self.most)
            .args(PLAIN)
    }

    /// The worktree as the git layer sees it.
    pub(super) fn linked(&self) -> Linked {
        Linked {
            name: self.name.clone(),
            admin: self.admin.clone(),
            dir: self.dir.clone(),
            head: read_head(&self.admin),
            reserved: Vec::new(),
        }
    }

    /// Returns whether files and registration are there and belong together.
    pub(super) fn is_linked(&self) -> bool {
        let back = linked_admin(&self.dir).and_then(|admin| admin.canonicalize().ok());
        back.is_some() && back == self.admin.canonicalize().ok()
    }

    /// Mends the worktree, or clears the place; returns whether there is one that can be used.
    pub(super) fn mend(&self, repo: &Repo) -> Result<bool> {
        if fs::symlink_metadata(&self.dir).is_err() {
            if fs::symlink_metadata(&self.admin).is_ok() {
                self.require_not_elsewhere()?;
                self.forget(repo)?;
            }
            return Ok(false);
        }
        if !self.is_linked() && self.was_moved() {
            relink(&self.admin, &self.dir)?;
        }
        let head = read_head(&self.admin);
        let sound =
            self.is_linked() && head != Head::Broken && self.admin.join("commondir").is_file();
        if !sound {
            self.require_not_elsewhere()?;
            self.set_aside(repo, "its registration with git was gone or broken")?;
            return Ok(false);
        }
        if is_being_made(&self.admin) {
            self.clear_unfinished(repo)?;
            return Ok(false);
        }
        if registered_dir(&self.admin).as_deref() != Some(self.dir.as_path()) {
            relink(&self.admin, &self.dir)?;
        }
        self.remove_dead_locks()?;
        self.mend_index()?;
        Ok(true)
    }

    /// Notes that the worktree's files are being written, until [`Place::is_prepared`]: of whoever is killed
    /// meanwhile they are nobody's work, and what is missing among them nobody has deleted.
    pub(super) fn begin_preparing(&self, repo: &Repo) -> Result<()> {
        files::replace(&half_made(repo, &self.agent.to_string()), b"")
    }

    /// Notes that the worktree is as it should be.
    pub(super) fn is_prepared(&self, repo: &Repo) -> Result<()> {
        let path = half_made(repo, &self.agent.to_string());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Moves the directory to the trash, where it stays, and deletes the registration.
    pub(super) fn set_aside(&self, repo: &Repo, why: &str) -> Result<()> {
        if holds_only_git_file(&self.dir) {
            fs::remove_dir_all(&self.dir)
                .with_context(|| format!("cannot remove {}", self.dir.display()))?;
        } else {
            let to = trash::slot(repo, &self.agent.to_string(), why)?;
            fs::rename(&self.dir, &to)
                .with_context(|| format!("cannot move {} away", self.dir.display()))?;
        }
        self.forget(repo)
    }

    /// Moves one path of the worktree to a directory in the trash.
    pub(super) fn set_path_aside(&self, path: &Path, to: &Path) -> Result<()> {
        let target = to.join(path);
        let parent = target.parent().unwrap_or(to);
        fs::create_dir_all(parent)
            .and_then(|()| fs::rename(self.dir.join(path), &target))
            .with_context(|| format!("cannot move {} away", path.display()))
    }

    /// Deletes the registration; commits that only it reaches are kept, in submodules too.
    fn forget(&self, repo: &Repo) -> Result<()> {
        let agent = self.agent.to_string();
        keep_loose(repo, &agent, &self.admin)?;
        let modules = self.admin.join("modules");
        if modules.is_dir() {
            let to = trash::slot(repo, &format!("{agent}-modules"), MODULES)?;
            fs::rename(&modules, &to)
                .with_context(|| format!("cannot move {} away", modules.display()))?;
        }
        let alone = repo.lock_worktrees()?;
        repo.forget_worktree(&alone, &self.name)
    }

    /// Clears a worktree whose making was cut short. What the checkout wrote is of no use to anyone; if there
    /// is any file that the commit does not name, the directory is kept as it is.
    fn clear_unfinished(&self, repo: &Repo) -> Result<()> {
        let staging = repo.orch_dir().join("staging");
        let unknown = || -> Result<bool> {
            fs::create_dir_all(&staging)?;
            let temp = tempfile::tempdir_in(&staging)?;
            let git = || self.git().env("GIT_INDEX_FILE", temp.path().join("index"));
            git().args(["read-tree", "HEAD"]).run()?;
            let others = git().args(["ls-files", "--others", "-z"]).read_bytes()?;
            Ok(!others.is_empty())
        };
        // Not knowing is a reason to keep it, too.
        if unknown().unwrap_or(true) {
            return self.set_aside(
                repo,
                "its making was cut short, and there are files of somebody's",
            );
        }
        let to = trash::gone_slot(repo, self.agent)?;
        let alone = repo.lock_worktrees()?;
        repo.remove_worktree(&alone, &self.linked(), &to)
    }

    /// Refuses where the registration belongs to files in another place, or a person locked it.
    fn require_not_elsewhere(&self) -> Result<()> {
        let Some(there) = registered_dir(&self.admin).filter(|dir| *dir != self.dir) else {
            return self.require_not_locked();
        };
        let back = linked_admin(&there).and_then(|admin| admin.canonicalize().ok());
        if back.is_none() || back != self.admin.canonicalize().ok() {
            return self.require_not_locked();
        }
        let error = format!(
            "the worktree of coder {} is in {} instead of {}",
            self.agent,
            there.display(),
            self.dir.display()
        );
        Err(UserError::new(error)
            .hint(format!(
                "git worktree move '{}' '{}'",
                there.display(),
                self.dir.display()
            ))
            .into())
    }

    fn require_not_locked(&self) -> Result<()> {
        if !is_locked(&self.admin) {
            return Ok(());
        }
        let error = format!(
            "the worktree of coder {} is locked, and its files are not in {}",
            self.agent,
            self.dir.display()
        );
        Err(UserError::new(error)
            .hint(format!("git worktree unlock '{}'", self.dir.display()))
            .into())
    }

    /// Whether repository and worktrees were moved together, so that both links point to where nothing is.
    fn was_moved(&self) -> bool {
        let Some(back) = linked_admin(&self.dir) else {
            return false;
        };
        let forth_is_stale =
            registered_dir(&self.admin).is_some_and(|dir| dir == self.dir || !dir.exists());
        let named_alike = back.file_name() == self.admin.file_name();
        !back.exists() && named_alike && forth_is_stale && self.admin.join("HEAD").is_file()
    }

    /// Removes lock files of git processes that were killed: whoever held them worked for a claim that is over.
    pub(super) fn remove_dead_locks(&self) -> Result<()> {
        for name in ["index.lock", "HEAD.lock"] {
            let path = self.admin.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes a missing or broken index anew from HEAD, so that the files themselves tell what was changed.
    fn mend_index(&self) -> Result<()> {
        let index = self.admin.join("index");
        let git = || self.git();
        if index.is_file() && git().args(["ls-files", "-z"]).read_bytes().is_ok() {
            return Ok(());
        }
        match fs::remove_file(&index) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).context("cannot remove a broken index");
            }
            _ => {}
        }
        git()
            .args(["read-tree", "HEAD"])
            .run()
            .context("cannot make an index anew")
    }
}

/// Opens the repository as it is seen from one of its worktrees: from a coder's by what is ours of it, because its
/// agent may have written all that lies there, `.git` included. Everything that looks at a worktree begins here.
///
/// # Errors
///
/// The directory is no worktree of this repository, or a sandbox is at work there.
pub fn seen_from(repo: &Repo, dir: &Path) -> Result<Repo> {
    let at = match Place::at(repo, dir) {
        Some(place) => {
            require_idle(repo, place.agent)?;
            repo.open_worktree(&place.admin)
                .with_context(|| format!("{} is not a worktree", dir.display()))?
        }
        None => Repo::discover(dir)?,
    };
    if at.common_dir() != repo.common_dir() {
        bail!("{} is a worktree of another repository", dir.display());
    }
    Ok(at)
}

/// Returns the directory that holds the coders' worktrees, without symbolic links, as Git records it.
pub(super) fn worktrees_dir(repo: &Repo) -> PathBuf {
    let dir = repo.worktrees_dir();
    dir.canonicalize().unwrap_or(dir)
}

fn holds_only_git_file(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else {
        return false;
    };
    let known = |entry: std::io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            entry.file_name() == ".git" && entry.file_type().is_ok_and(|kind| kind.is_file())
        })
    };
    entries.into_iter().all(known)
}

/// Returns the path of the note that a coder's worktree is being written.
pub(super) fn half_made(repo: &Repo, owner: &str) -> PathBuf {
    repo.orch_dir().join(format!("worktrees/{owner}.preparing"))
}
