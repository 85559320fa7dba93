//! `.trash` beside the worktrees: files that were in the way and fit in no commit.
//!
//! Each thing lies there under a name of its own, `1.2-1`, with a note in `.1.2-1.toml` of when and why it was put
//! there. What begins with `gone-` was a worktree without work in it, moved there because renaming is quick where
//! deleting is slow; nobody misses it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::inspect::names;
use super::place::worktrees_dir;
use crate::clock;
use crate::git::{Repo, files};
use crate::model::AgentId;

/// Directory beside the worktrees.
const TRASH: &str = ".trash";

/// What begins the names of things that nobody misses.
const GONE: &str = "gone-";

/// Files and directories that are measured, at most.
const MOST_MEASURED: usize = 200_000;

/// What lies in the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trashed {
    /// Its name there.
    pub name: String,
    /// Where.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Whether it was a worktree without work in it, which nobody misses.
    pub is_gone: bool,
    /// When it was put there, in seconds since 1970; `None` where nothing tells.
    pub saved_at: Option<i64>,
    /// Why, in a line; empty where nothing tells.
    pub reason: String,
}

/// What is noted beside a thing in the trash.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    saved_at: Option<i64>,
    #[serde(default)]
    reason: String,
}

/// Returns a path in the trash that is free and noted; its parent exists.
pub(super) fn slot(repo: &Repo, name: &str, reason: &str) -> Result<PathBuf> {
    let path = free(repo, name)?;
    let note = Note {
        saved_at: Some(clock::now().0),
        reason: reason.to_owned(),
    };
    let text = toml::to_string(&note).context("cannot write a note")?;
    files::replace(&note_of(&path), text.as_bytes())?;
    Ok(path)
}

/// Returns a path in the trash for a coder's worktree that holds no work.
pub(super) fn gone_slot(repo: &Repo, agent: AgentId) -> Result<PathBuf> {
    free(repo, &format!("{GONE}{agent}"))
}

fn free(repo: &Repo, name: &str) -> Result<PathBuf> {
    let trash = dir(repo);
    fs::create_dir_all(&trash).with_context(|| format!("cannot create {}", trash.display()))?;
    let slots = (1u64..).map(|n| trash.join(format!("{name}-{n}")));
    let mut free = slots.filter(|slot| fs::symlink_metadata(slot).is_err());
    free.next().context("the trash is full")
}

pub(super) fn dir(repo: &Repo) -> PathBuf {
    worktrees_dir(repo).join(TRASH)
}

fn note_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.toml"))
}

/// Lists what lies in the trash, with its size.
pub fn list(repo: &Repo) -> Vec<Trashed> {
    let trash = dir(repo);
    let mut left = MOST_MEASURED;
    let names = names(&trash).into_iter();
    names
        .filter(|name| !name.starts_with('.'))
        .map(|name| {
            let path = trash.join(&name);
            let note = read_note(&path);
            Trashed {
                bytes: size(&path, &mut left),
                is_gone: name.starts_with(GONE),
                saved_at: note.saved_at,
                reason: note.reason,
                name,
                path,
            }
        })
        .collect()
}

fn read_note(path: &Path) -> Note {
    // Without one, as with one that cannot be read, the thing itself is there all the same.
    let text = files::read_if_exists(&note_of(path)).ok().flatten();
    let text = text.and_then(|text| String::from_utf8(text).ok());
    text.and_then(|text| toml::from_str(&text).ok())
        .unwrap_or_default()
}

/// Deletes removed worktrees that held no work; to be called when nothing else waits, since deleting many files
/// slows the file system down for minutes (docs/decisions/worktrees.md). Files that were set aside stay.
///
/// # Errors
///
/// Something cannot be deleted.
pub fn empty(repo: &Repo) -> Result<()> {
    for name in names(&dir(repo)) {
        if name.starts_with(GONE) {
            delete(&dir(repo).join(name))?;
        }
    }
    Ok(())
}

/// Deletes one thing for good, and the trash where it was the last.
///
/// # Errors
///
/// It cannot be deleted.
pub(super) fn delete(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        // Somebody else was faster.
        Err(_) => Ok(()),
    };
    removed.with_context(|| format!("cannot delete {}", path.display()))?;
    forget_note(path);
    Ok(())
}

/// Moves one thing out of the trash to a place where nothing is.
///
/// # Errors
///
/// There is something, or it is on another file system.
pub(super) fn take_out(path: &Path, to: &Path) -> Result<()> {
    fs::rename(path, to)
        .with_context(|| format!("cannot move {} to {}", path.display(), to.display()))?;
    forget_note(path);
    Ok(())
}

fn forget_note(path: &Path) {
    // A note of nothing does no harm; an empty trash goes.
    let _ = fs::remove_file(note_of(path));
    let _ = path.parent().map(fs::remove_dir);
}

fn size(path: &Path, left: &mut usize) -> u64 {
    let Some(rest) = left.checked_sub(1) else {
        return 0;
    };
    *left = rest;
    let Ok(meta) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !meta.is_dir() {
        return meta.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size(&entry.path(), left)).sum()
}
