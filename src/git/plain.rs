//! Files that the library opens are looked at first: it would wait for ever at a named pipe in place of one.
//!
//! What git-orch reads itself goes through [`files::open_regular`](super::files::open_regular), and what Git reads is
//! watched by `watch`.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::worktree::linked_admin;
use super::{Oid, Repo, files};
use crate::error::UserError;

/// Files of a worktree's Git directory.
const OWN: [&str; 5] = ["HEAD", "commondir", "gitdir", "config.worktree", "index"];

/// Files of the Git directory that all worktrees share.
const SHARED: [&str; 8] = [
    "HEAD",
    "config",
    "packed-refs",
    "shallow",
    "info/attributes",
    "info/exclude",
    "objects/info/alternates",
    "objects/info/commit-graph",
];

/// Checks that what is read where a repository is opened are files.
///
/// # Errors
///
/// Something else stands in place of one of them.
pub(super) fn require_plain(dir: &Path) -> Result<()> {
    let Some(git_dir) = git_dir_of(dir) else {
        return Ok(());
    };
    for name in OWN {
        require_file(&git_dir.join(name))?;
    }
    let named = files::read_pointer(&git_dir.join("commondir"));
    let shared = match named {
        Some(name) => git_dir.join(String::from_utf8_lossy(&name).trim_end()),
        None => git_dir,
    };
    for name in SHARED {
        require_file(&shared.join(name))?;
    }
    let packs = fs::read_dir(shared.join("objects/pack"));
    for entry in packs.into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| !kind.is_file()) {
            require_file(&entry.path())?;
        }
    }
    Ok(())
}

/// Returns the Git directory that belongs to a directory, or that it is.
fn git_dir_of(dir: &Path) -> Option<PathBuf> {
    let dir = dir.canonicalize().ok()?;
    dir.ancestors().find_map(|top| {
        let link = top.join(".git");
        match fs::symlink_metadata(&link) {
            Ok(found) if found.is_dir() => Some(link),
            Ok(_) => linked_admin(top),
            Err(_) => (top.join("objects").is_dir() && top.join("refs").is_dir())
                .then(|| top.to_path_buf())
                .or_else(|| top.join("commondir").exists().then(|| top.to_path_buf())),
        }
    })
}

/// Checks that there is a file, or nothing.
///
/// # Errors
///
/// There is a pipe, a socket or a device.
pub(super) fn require_file(path: &Path) -> Result<()> {
    let Ok(found) = fs::metadata(path) else {
        return Ok(());
    };
    let kind = found.file_type();
    let what = match (kind.is_fifo(), kind.is_socket()) {
        (true, _) => "a named pipe",
        (_, true) => "a socket",
        _ if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => return Ok(()),
    };
    let path = path.display();
    Err(
        UserError::new(format!("{path} is {what} where Git reads a file"))
            .hint(format!("rm '{path}'"))
            .into(),
    )
}

impl Repo {
    /// Checks that an object is a file, where it lies by itself.
    ///
    /// # Errors
    ///
    /// Something else stands in its place.
    pub(super) fn require_object_file(&self, id: Oid) -> Result<()> {
        let hex = id.to_string();
        let (dir, rest) = hex.split_at(2);
        require_file(&self.objects_dir.join(dir).join(rest))
    }
}
