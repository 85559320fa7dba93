//! A worktree brought to a commit exactly as a clean checkout would have it, without writing what is right already.
//!
//! What git knows of a worktree is not believed: whoever works there may have changed the index, its flags, the
//! worktree's own configuration or the times of files. Of every file that was written here it is noted outside of
//! the worktree how the file system describes it; a file that is described otherwise, or whose attributes or
//! settings have changed, is written anew. Everything that the commit does not have goes, ignored or not, except
//! what the caller keeps.
//!
//! Programs that find out by times what they must make again see the same as after a clean checkout:
//!
//! * where nothing is kept, all times are today's;
//! * where something is kept, what changes is written in a later second than anything that was made before, since
//!   some tell versions of a file apart by whole seconds and size, and what is beside a file that came or went, or
//!   behind a link that changed, counts as changed.

mod listing;
mod sweep;

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::objects::blob_id;
use super::{Git, Oid, files};
use crate::config;
use crate::model::keep::Keep;
use listing::{Listing, Stale};
pub use sweep::remove_all;
use sweep::{Sweep, Swept};

/// Settings under which git writes here, whatever the configuration says: they decide what is looked at.
const PINNED: [&str; 10] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.splitIndex=false",
    "core.sparseCheckout=false",
    "core.sparseCheckoutCone=false",
    "core.checkStat=default",
    "core.trustctime=true",
    "index.sparse=false",
    "submodule.recurse=false",
];

/// Whose Git directory a worktree's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Its own, linked to a repository's.
    Worktree,
    /// The repository's, which has no other worktree.
    Repository,
}

impl Owner {
    /// Returns the names in the Git directory that stay; the rest is what somebody did there.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Worktree => &["HEAD", "commondir", "gitdir", "modules"],
            Self::Repository => &[
                "HEAD",
                "config",
                "description",
                "hooks",
                "modules",
                "objects",
                "packed-refs",
                "refs",
                "shallow",
            ],
        }
    }
}

/// Times that it is looked whether the file system's clock has moved on, a millisecond each.
const MOST_TICKS: u32 = 40;

/// A worktree that nobody but its user keeps anything in.
#[derive(Debug)]
pub struct Exact {
    /// Its top directory.
    pub dir: PathBuf,
    /// Its own Git directory.
    pub git_dir: PathBuf,
    /// Where it is noted how files were written: not in the worktree, and not where git leads there.
    pub notes: PathBuf,
    /// Whose its Git directory is.
    pub owner: Owner,
}

/// What a worktree was brought to.
#[derive(Debug)]
pub struct Brought {
    /// Whether anything was kept that the commit does not have.
    pub has_kept: bool,
    /// Paths of submodules, whose files are not looked after here.
    pub submodules: Vec<PathBuf>,
}

impl Exact {
    /// Returns whether it is known how its files were written.
    pub fn is_known(&self) -> bool {
        self.noted_index().exists() && self.dir.join(".git").exists()
    }

    /// Brings the files to a commit. Files that are reports are never kept.
    ///
    /// # Errors
    ///
    /// Git cannot check the commit out, or a file cannot be removed.
    pub fn bring(
        &self,
        commit: Oid,
        keep: &Keep,
        is_report: &dyn Fn(&Path) -> bool,
    ) -> Result<Brought> {
        fs::create_dir_all(&self.notes).context("cannot create a directory")?;
        self.clear_git_dir()?;
        let settings = self.settings()?;
        let known = self.known(&settings);
        self.put_index(known.is_some())?;
        let commit_id = commit.to_string();
        self.git()
            .args(["read-tree", "--reset", &commit_id])
            .run()
            .with_context(|| format!("cannot read {commit}"))?;
        let wanted = Listing::read(&self.index())?;
        let stale = Stale::between(known.as_ref(), &wanted, !keep.is_empty());
        let sweep = Sweep {
            dir: &self.dir,
            wanted: &wanted,
            stale: &stale,
            keep,
            is_report,
            mode: sweep::mode_of(&self.notes)?,
        };
        let swept = sweep.run()?;
        if swept.has_changes && !swept.kept.is_empty() {
            self.wait_for_a_later_second()?;
        }
        self.check_out(&commit_id)?;
        let has_kept = if swept.kept.is_empty() {
            self.refresh_times(&wanted)?;
            false
        } else {
            self.write_behind_links(known.as_ref(), &wanted, &commit_id)?;
            self.drop_what_git_does_not_ignore(&swept)?
        };
        self.note(&settings)?;
        Ok(Brought {
            has_kept,
            submodules: wanted.submodules().map(Path::to_owned).collect(),
        })
    }

    /// Waits until whatever is written from now on shows by its times that it was not written by [`Exact::bring`].
    ///
    /// # Errors
    ///
    /// The notes cannot be written.
    pub fn settle(&self) -> Result<()> {
        let newest = Listing::read(&self.noted_index())?.newest();
        for _ in 0..MOST_TICKS {
            if self.now()? > newest {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // Times are too coarse here: nothing is known of files by them.
        remove_file(&self.noted_index())
    }

    /// Notes that nothing is written in the worktree any more for now.
    pub fn note_end(&self) {
        // Without it whatever is kept is as old as its newest file, which is looked at by nobody.
        let _ = files::replace(&self.notes.join("ended"), b"");
    }

    fn git(&self) -> Git {
        let git = Git::new(&self.dir);
        let git = PINNED
            .iter()
            .fold(git, |git, pinned| git.args(["-c", pinned]));
        match self.dir.parent() {
            // Without a `.git` of its own here, git must not take a repository further up for this one.
            Some(parent) => git.env("GIT_CEILING_DIRECTORIES", parent),
            None => git,
        }
    }

    fn index(&self) -> PathBuf {
        self.git_dir.join("index")
    }

    fn noted_index(&self) -> PathBuf {
        self.notes.join("index")
    }

    /// Takes away what somebody has left in the worktree's Git directory: settings, sparse patterns, operations
    /// under way, locks.
    fn clear_git_dir(&self) -> Result<()> {
        let listing = fs::read_dir(&self.git_dir)
            .with_context(|| format!("cannot read {}", self.git_dir.display()))?;
        for entry in listing {
            let entry = entry.context("cannot read a directory")?;
            if !self
                .owner
                .names()
                .iter()
                .any(|ours| entry.file_name() == *ours)
            {
                remove_all(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Returns what decides, beside the commit, how git writes files.
    fn settings(&self) -> Result<String> {
        let bytes = self.git().args(["config", "--list", "-z"]).read_bytes()?;
        let text = String::from_utf8_lossy(&bytes);
        let decides = |entry: &&str| {
            let section = entry.split('.').next().unwrap_or_default();
            ["core", "filter", "lfs"].contains(&section)
        };
        let mut all: Vec<&str> = text.split('\0').filter(decides).collect();
        let named = all
            .iter()
            .rev()
            .find_map(|entry| entry.strip_prefix("core.attributesfile\n"));
        let mut attributes = vec![self.git_dir.join(match self.owner {
            Owner::Worktree => "../../info/attributes",
            Owner::Repository => "info/attributes",
        })];
        attributes.extend(config::attributes_files(named));
        // What is no file that can be read says nothing to git either.
        let text = |path: &PathBuf| files::read_if_exists(path).ok().flatten();
        let texts = attributes
            .iter()
            .map(|path| blob_id(&text(path).unwrap_or_default()).to_string());
        let texts: Vec<String> = texts.collect();
        all.extend(texts.iter().map(String::as_str));
        Ok(blob_id(all.join("\n").as_bytes()).to_string())
    }

    /// Returns how files were written last, where that was under the same settings.
    fn known(&self, settings: &str) -> Option<Listing> {
        let noted = files::read_if_exists(&self.notes.join("settings")).ok()??;
        let listing = Listing::read(&self.noted_index()).ok()?;
        (noted == settings.as_bytes()).then_some(listing)
    }

    fn put_index(&self, is_known: bool) -> Result<()> {
        let index = self.index();
        match is_known {
            true => fs::copy(self.noted_index(), &index)
                .map(drop)
                .with_context(|| format!("cannot write {}", index.display())),
            false => remove_file(&index),
        }
    }

    fn check_out(&self, commit: &str) -> Result<()> {
        self.git()
            .args(["checkout", "--quiet", "--force", "--detach", commit])
            .run()
            .with_context(|| format!("cannot bring {} to {commit}", self.dir.display()))
    }

    fn note(&self, settings: &str) -> Result<()> {
        files::replace(&self.notes.join("settings"), settings.as_bytes())?;
        let whole = fs::read(self.index()).context("cannot read an index")?;
        files::replace(&self.noted_index(), &whole)
    }

    /// Gives every file today's time, as a checkout of all of them would, and enters that in the index.
    fn refresh_times(&self, wanted: &Listing) -> Result<()> {
        for dir in wanted.dirs() {
            sweep::touch(&self.dir.join(dir))?;
        }
        listing::refresh(&self.index(), |path| {
            let path = self.dir.join(path);
            sweep::touch(&path)?;
            fs::symlink_metadata(&path).with_context(|| format!("cannot read {}", path.display()))
        })
    }

    /// Writes what links lead to that have changed: a program that followed one has seen other files before.
    fn write_behind_links(
        &self,
        known: Option<&Listing>,
        wanted: &Listing,
        commit: &str,
    ) -> Result<()> {
        let Some(known) = known else { return Ok(()) };
        let top = self
            .dir
            .canonicalize()
            .context("cannot resolve a directory")?;
        let mut removed = false;
        for link in wanted.changed_links(known) {
            // What leads nowhere, or out of the worktree, is not the commit's.
            let Ok(target) = self.dir.join(link).canonicalize() else {
                continue;
            };
            let Ok(target) = target.strip_prefix(&top) else {
                continue;
            };
            for path in wanted.at_or_below(target) {
                removed = true;
                remove_file(&self.dir.join(path))?;
            }
        }
        match removed {
            true => self.check_out(commit),
            false => Ok(()),
        }
    }

    /// Takes out of what was kept whatever git does not ignore in this tree; returns whether anything is left.
    fn drop_what_git_does_not_ignore(&self, swept: &Swept) -> Result<bool> {
        let listed = self
            .git()
            .args(["ls-files", "-z", "--others", "--exclude-standard"])
            .read_bytes()?;
        for path in listed
            .split(|byte| *byte == 0)
            .filter(|path| !path.is_empty())
        {
            let path = self.dir.join(listing::to_path(path));
            remove_all(&path)?;
            let mut above = path.parent();
            // Up to the first directory that holds something, which the tree's own do.
            while let Some(dir) =
                above.filter(|dir| *dir != self.dir && fs::remove_dir(dir).is_ok())
            {
                above = dir.parent();
            }
        }
        let is_there = |path: &PathBuf| self.dir.join(path).symlink_metadata().is_ok();
        Ok(swept.kept.iter().any(is_there))
    }

    /// Waits until a second has begun in which nothing that is kept was written.
    fn wait_for_a_later_second(&self) -> Result<()> {
        let Ok(ended) = fs::metadata(self.notes.join("ended")) else {
            return Ok(());
        };
        loop {
            let (seconds, nanoseconds) = self.now()?;
            if seconds > ended.mtime() {
                return Ok(());
            }
            if seconds < ended.mtime() {
                bail!("the clock went back: what is kept seems newer than it is");
            }
            let rest = 1_000_000_000 - u64::try_from(nanoseconds).unwrap_or_default();
            std::thread::sleep(Duration::from_nanos(rest));
        }
    }

    /// Returns the time by which the file system would describe a file that is written now.
    fn now(&self) -> Result<(i64, i64)> {
        let path = self.notes.join("clock");
        files::replace(&path, b"")?;
        let meta = fs::metadata(&path).context("cannot read the clock")?;
        Ok((meta.ctime(), meta.ctime_nsec()))
    }
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
