//! A repository: where it is, and what its configuration says.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::cmd::Git;
use super::main_worktree::MainWorktree;
use super::registered::coders_admin;
use super::{Oid, config_file, opening};
use crate::config;
use crate::error::UserError;
use crate::model::identity::{Identity, of_machine};

/// An opened repository, seen from one of its worktrees.
pub struct Repo {
    pub(super) gix: gix::Repository,
    pub(super) trees: RefCell<HashMap<Oid, Vec<u8>>>,
    /// Best common ancestors of pairs of commits.
    pub(super) bases: RefCell<HashMap<(Oid, Oid), Vec<Oid>>>,
    /// Why the disk did not give an object, if there was one.
    pub(super) failed_read: RefCell<Option<String>>,
    /// Where loose objects go.
    pub(super) objects_dir: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
    work_dir: Option<PathBuf>,
    /// Where the main worktree is, once that was asked.
    pub(super) main: OnceCell<MainWorktree>,
}

impl std::fmt::Debug for Repo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repo")
            .field("git_dir", &self.git_dir)
            .finish_non_exhaustive()
    }
}

impl Repo {
    /// Opens the repository that a directory belongs to.
    ///
    /// # Errors
    ///
    /// There is none, Git does not trust whoever owns it, or it is of a kind that is not supported (reftable,
    /// SHA-256).
    pub fn discover(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            return Err(UserError::new(format!("{} is no directory", dir.display())).into());
        }
        let opened = match coders_admin(dir) {
            Some(admin) => opening::open(&admin),
            None => opening::discover(dir),
        };
        match opened {
            Ok(gix) => {
                let repo = Self::from_gix(gix)?;
                opening::require_trust(&repo.gix, dir)?;
                Ok(repo)
            }
            Err(error) => Err(opening::explain(dir, error)),
        }
    }

    fn from_gix(mut gix: gix::Repository) -> Result<Self> {
        let storage = gix.config_snapshot().string("extensions.refStorage");
        if let Some(storage) = storage.filter(|name| *name != "files") {
            return Err(UserError::new(format!(
                "the repository keeps its refs in `{storage}` storage, which is not supported"
            ))
            .hint("git refs migrate --ref-format=files")
            .into());
        }
        let absolute = |path: &Path| {
            path.canonicalize()
                .with_context(|| format!("cannot resolve {}", path.display()))
        };
        let git_dir = absolute(gix.git_dir())?;
        let common_dir = match gix.common_dir() == gix.git_dir() {
            true => git_dir.clone(),
            false => absolute(gix.common_dir())?,
        };
        include_own_config(&mut gix, &git_dir, &common_dir);
        // It knows a base by its pack's place in a table: once packs were merged under a process that lives on,
        // another pack takes the place, and gix returns another object's content for an id, unchecked.
        gix.objects.unset_pack_cache();
        // Replacement objects, by which an agent could show others than there are, do not count (see true_git).
        gix.objects.ignore_replacements = true;
        let objects_dir = std::path::absolute(gix.objects.store_ref().path())
            .context("cannot resolve the object store")?;
        Ok(Self {
            objects_dir,
            git_dir,
            common_dir,
            work_dir: gix.workdir().map(absolute).transpose()?,
            gix,
            main: OnceCell::new(),
            trees: RefCell::default(),
            bases: RefCell::default(),
            failed_read: RefCell::default(),
        })
    }

    /// Returns a second handle to the same repository, for another thread.
    ///
    /// # Errors
    ///
    /// The repository cannot be opened again.
    pub fn reopen(&self) -> Result<Self> {
        let gix = opening::open(&self.git_dir).context("cannot open the repository again")?;
        Self::from_gix(gix)
    }

    /// Opens the repository as one of its worktrees sees it, by that worktree's administrative directory.
    ///
    /// # Errors
    ///
    /// There is no such worktree.
    pub fn open_worktree(&self, admin: &Path) -> Result<Self> {
        let gix = opening::open(admin).context("cannot open the repository")?;
        Self::from_gix(gix)
    }

    /// Returns the Git directory of the worktree that was opened.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Returns the Git directory that all worktrees share.
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// Returns the top of the worktree that was opened; `None` in a bare repository.
    pub fn work_dir(&self) -> Option<&Path> {
        self.work_dir.as_deref()
    }

    /// Returns whether the opened worktree is a linked one.
    pub fn is_linked(&self) -> bool {
        self.git_dir != self.common_dir
    }

    /// Returns whether the repository is bare, seen from its common directory.
    pub fn is_bare(&self) -> bool {
        self.gix
            .config_snapshot()
            .boolean("core.bare")
            .unwrap_or(false)
    }

    /// Returns the directory for files of ours: locks, caches, logs, hooks.
    pub fn orch_dir(&self) -> PathBuf {
        self.common_dir.join("orch")
    }

    /// Returns a `git` command that sees the repository itself, whatever worktree was opened.
    pub fn git(&self) -> Git {
        Git::new(&self.common_dir).env("GIT_DIR", &self.common_dir)
    }

    /// Returns a `git` command that sees the worktree that was opened, whatever its `.git` says by now.
    pub fn git_here(&self) -> Git {
        let dir = self.work_dir.as_deref().unwrap_or(&self.git_dir);
        let git = Git::new(dir)
            .env("GIT_DIR", &self.git_dir)
            .within(config::git_timeout(self));
        match &self.work_dir {
            Some(dir) => git.env("GIT_WORK_TREE", dir),
            None => git,
        }
    }

    /// Returns a `git` command as [`Repo::git`] that takes relative paths for those of the main worktree's top, as
    /// Git does with a remote's URL.
    pub fn git_at_top(&self) -> Git {
        let top = self.main_work_dir();
        Git::new(top.as_deref().unwrap_or(&self.common_dir)).env("GIT_DIR", &self.common_dir)
    }

    /// Returns the value of a configuration key, as seen from the opened worktree.
    pub fn config(&self, key: &str) -> Option<String> {
        self.gix
            .config_snapshot()
            .string(key)
            .map(|value| value.to_string())
    }

    /// Returns in whose name this process commits where it does not commit for an agent: whoever Git is
    /// configured for, or the machine.
    pub fn person(&self) -> Identity {
        self.identity()
            .unwrap_or_else(|| of_machine(&config::machine(self)))
    }

    /// Returns the user's name and address for commits, `None` where none is configured.
    ///
    /// `committer.*`, which somebody has for commits of their own, counts where there is no `user.*` only.
    pub fn identity(&self) -> Option<Identity> {
        // gix's own answer brings the time of day along, for which it reads the directory of all time zones.
        let first = |what: &str, keys: &[&str]| {
            let given = || keys.iter().find_map(|key| self.config(key));
            let found = config::given_committer(what).or_else(given);
            found.filter(|text| !text.trim().is_empty())
        };
        let name = ["user.name", "committer.name"];
        let email = [
            "user.email",
            "committer.email",
            "gitoxide.user.emailFallback",
        ];
        Some((first("NAME", &name)?, first("EMAIL", &email)?))
    }

    /// Returns the branch that is checked out in the opened worktree, `None` when detached.
    pub fn head_branch(&self) -> Option<String> {
        let name = self.gix.head_name().ok()??;
        Some(name.shorten().to_string())
    }
}

/// Adds what Git includes in a coder's worktree and gix does not: it compares the pattern of an `includeIf`
/// with the common directory instead of the worktree's own.
fn include_own_config(gix: &mut gix::Repository, git_dir: &Path, common_dir: &Path) {
    let name = git_dir.file_name().unwrap_or_default().to_string_lossy();
    let Some(coder) = name.strip_prefix("orch-").filter(|_| git_dir != common_dir) else {
        return;
    };
    let path = common_dir.join(format!("orch/worktrees/{coder}.gitconfig"));
    // Without the file it is no worktree of a coder's; a broken file is what git complains about.
    let Ok(Some(own)) = config_file::load(&path) else {
        return;
    };
    let mut config = gix.config_snapshot_mut();
    if config.append(own).is_ok() {
        let _ = config.commit();
    }
}
