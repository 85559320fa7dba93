//! Looks at every entry of a worktree once, and takes away what is not what the commit has.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};

use super::listing::{Listing, Stale, to_path};
use crate::model::keep::Keep;

/// One look.
pub(super) struct Sweep<'a> {
    pub(super) dir: &'a Path,
    pub(super) wanted: &'a Listing,
    pub(super) stale: &'a Stale,
    pub(super) keep: &'a Keep,
    pub(super) is_report: &'a dyn Fn(&Path) -> bool,
    /// Rights of a directory that nobody has changed.
    pub(super) mode: u32,
}

/// What a look came to.
#[derive(Debug)]
pub(super) struct Swept {
    /// Whether any file is to be written.
    pub(super) has_changes: bool,
    /// What was kept that the commit does not have, as paths below the top.
    pub(super) kept: Vec<PathBuf>,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    /// Files that are right.
    right: usize,
    kept: Vec<PathBuf>,
}

impl Sweep<'_> {
    /// Looks at everything.
    pub(super) fn run(&self) -> Result<Swept> {
        let mut found = Found::default();
        self.look_in(&[], &mut found)?;
        Ok(Swept {
            has_changes: found.right < self.wanted.count(),
            kept: found.kept,
        })
    }

    /// Looks at a directory that the commit has.
    fn look_in(&self, dir: &[u8], found: &mut Found) -> Result<()> {
        self.mend_mode(&self.dir.join(to_path(dir)))?;
        for (path, meta) in self.entries(dir)? {
            if path == b".git" {
                continue;
            }
            let place = self.dir.join(to_path(&path));
            let is_dir = meta.is_dir();
            if let Some(entry) = self.wanted.file(&path) {
                if is_dir && entry.is_submodule() {
                    // What is in it is another repository's matter.
                    continue;
                }
                if !is_dir && entry.describes(&meta) && !self.stale.is(&path) {
                    found.right += 1;
                } else {
                    remove_all(&place)?;
                }
            } else if is_dir && self.wanted.has_dir(&path) {
                self.look_in(&path, found)?;
            } else {
                let keeps = self.keep.keeps(&String::from_utf8_lossy(&path), is_dir);
                self.look_at_other(&path, is_dir, keeps, found)?;
            }
        }
        Ok(())
    }

    /// Looks at what the commit does not have; returns whether it is still there.
    fn look_at_other(
        &self,
        path: &[u8],
        is_dir: bool,
        keeps: bool,
        found: &mut Found,
    ) -> Result<bool> {
        let place = self.dir.join(to_path(path));
        if keeps {
            self.drop_reports(to_path(path), is_dir)?;
            found.kept.push(to_path(path).to_owned());
            return Ok(true);
        }
        let mut holds_something = false;
        if is_dir && self.keep.keeps_below(&String::from_utf8_lossy(path)) {
            self.mend_mode(&place)?;
            for (path, meta) in self.entries(path)? {
                let name = String::from_utf8_lossy(&path);
                let keeps = self.keep.keeps_anywhere(&name, meta.is_dir());
                holds_something |= self.look_at_other(&path, meta.is_dir(), keeps, found)?;
            }
        }
        if !holds_something {
            remove_all(&place)?;
        }
        Ok(holds_something)
    }

    /// Removes the reports among what is kept.
    fn drop_reports(&self, path: &Path, is_dir: bool) -> Result<()> {
        let place = self.dir.join(path);
        if !is_dir {
            return match (self.is_report)(path) {
                true => remove_all(&place),
                false => Ok(()),
            };
        }
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            self.drop_reports(&path.join(entry.file_name()), is_dir)?;
        }
        Ok(())
    }

    /// Lists a directory: paths below the top, and how the file system describes them.
    fn entries(&self, dir: &[u8]) -> Result<Vec<(Vec<u8>, Metadata)>> {
        let place = self.dir.join(to_path(dir));
        let cannot = || format!("cannot read {}", place.display());
        let mut entries = Vec::new();
        for entry in fs::read_dir(&place).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            let mut path = dir.to_vec();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend(entry.file_name().as_bytes());
            match entry.metadata() {
                Ok(meta) => entries.push((path, meta)),
                // Gone since.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(cannot),
            }
        }
        Ok(entries)
    }

    /// Gives a directory the rights that it was made with.
    fn mend_mode(&self, dir: &Path) -> Result<()> {
        if mode_of(dir)? == self.mode {
            return Ok(());
        }
        let right = fs::Permissions::from_mode(self.mode);
        fs::set_permissions(dir, right).with_context(|| format!("cannot mend {}", dir.display()))
    }
}

/// Returns what owner, group and others may do with a directory.
pub(super) fn mode_of(dir: &Path) -> Result<u32> {
    let meta = fs::metadata(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    // Whose group new files have is the file system's matter.
    Ok(meta.permissions().mode() & 0o1777)
}

/// Gives a file, link or directory the time of now.
pub(super) fn touch(path: &Path) -> Result<()> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .with_context(|| format!("cannot set the time of {}", path.display()))
}

/// Removes whatever stands at a path, if anything does, also where somebody took the right to do so away.
///
/// # Errors
///
/// It cannot be removed.
pub fn remove_all(path: &Path) -> Result<()> {
    let is_dir = |path: &Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    let remove = || match is_dir(path) {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    let removed = match remove() {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            make_writable(path);
            remove()
        }
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Gives the owner all rights to the directories below one, as far as that is possible.
fn make_writable(dir: &Path) {
    // What stays as it is makes the removal fail, which is told.
    let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}
