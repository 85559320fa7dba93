//! Files of ours under the common Git directory: replaced whole, locked by the kernel.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::error::UserError;
use crate::model::bounds;
use crate::waits;

/// Writes a file whole: readers see the old content or the new, never a part.
///
/// # Errors
///
/// The directory cannot be written, for example because the disk is full; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, bytes, None)
}

/// Writes a file that may be run, whole.
///
/// # Errors
///
/// As [`replace`].
pub fn replace_executable(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, bytes, Some(fs::Permissions::from_mode(0o755)))
}

/// Writes a file whole that only its owner may read.
///
/// # Errors
///
/// As [`replace`].
pub fn replace_private(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, bytes, Some(fs::Permissions::from_mode(0o600)))
}

/// Writes a file whole, keeping its mode and following a link: for files that others keep or read as well.
///
/// # Errors
///
/// As [`replace`].
pub fn edit(path: &Path, bytes: &[u8]) -> Result<()> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mode = fs::metadata(&path).ok().map(|old| old.permissions());
    write(&path, bytes, mode)
}

fn write(path: &Path, bytes: &[u8], mode: Option<fs::Permissions>) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let write = || -> std::io::Result<()> {
        // As readable as any new file: a temporary one is for its owner alone otherwise.
        let usual = fs::Permissions::from_mode(0o666);
        let mut file = tempfile::Builder::new()
            .prefix(".orch-")
            .permissions(mode.clone().unwrap_or(usual))
            .tempfile_in(dir)?;
        file.write_all(bytes)?;
        if let Some(mode) = mode {
            file.as_file().set_permissions(mode)?;
        }
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a file unless it exists, and returns what it says: everybody who calls this gets the same.
///
/// # Errors
///
/// It cannot be written and does not exist, or cannot be read.
pub fn write_once(path: &Path, bytes: &[u8]) -> Result<Vec<u8>> {
    if let Some(there) = read_if_exists(path)? {
        return Ok(there);
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".orch-").tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.persist_noclobber(path)?;
        Ok(())
    };
    let written = write();
    match read_if_exists(path)? {
        Some(there) => Ok(there),
        None => written
            .map(|()| bytes.to_vec())
            .with_context(|| format!("cannot write {}", path.display())),
    }
}

/// Removes the directories above a path that are empty, up to a directory that stays.
pub fn remove_empty_above(path: &Path, top: &Path) {
    for parent in path.ancestors().skip(1) {
        // One that holds something is where this ends.
        if parent == top || fs::remove_dir(parent).is_err() {
            break;
        }
    }
}

/// Reads a file; `None` where there is none.
///
/// # Errors
///
/// It exists and cannot be read.
pub fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>> {
    match read_regular(path, bounds::MOST_OWN as u64) {
        Ok(Some(bytes)) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Ok(None) => {
            let most = bounds::told(bounds::MOST_OWN);
            bail!("{} is larger than {most}", path.display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Reads a file of at most so many bytes; `None` where there is none.
///
/// # Errors
///
/// It exists and is larger, is no regular file, or cannot be read.
pub fn read_within(path: &Path, most: usize) -> Result<Option<Vec<u8>>> {
    match read_regular(path, most as u64) {
        Ok(Some(bytes)) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Ok(None) => Err(UserError::new(format!(
            "{} is larger than {}",
            path.display(),
            bounds::told(most)
        ))
        .into()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Reads at most so many bytes and one more of what a person has named: a file, or a pipe, which is waited for.
///
/// # Errors
///
/// It cannot be read.
pub fn read_named(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a file that holds one path or one name, whoever may have written it; `None` where it is anything else.
pub fn read_pointer(path: &Path) -> Option<Vec<u8>> {
    read_regular(path, bounds::MOST_POINTER as u64).ok()?
}

/// Opens a regular file for reading, without ever waiting for a writer as a named pipe would.
///
/// # Errors
///
/// It cannot be opened, or is anything else.
pub fn open_regular(path: &Path) -> std::io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    require_regular(&file)?;
    Ok(file)
}

fn require_regular(file: &File) -> std::io::Result<()> {
    let found = file.metadata()?;
    if found.is_file() {
        return Ok(());
    }
    use std::io::{Error, ErrorKind};
    Err(match found.is_dir() {
        true => Error::new(ErrorKind::IsADirectory, "it is a directory"),
        false => Error::new(ErrorKind::InvalidInput, "it is no regular file"),
    })
}

/// Reads a regular file that holds one line or a few.
///
/// # Errors
///
/// It is anything else, is far too large for that, or cannot be read.
pub fn read_whole(path: &Path) -> std::io::Result<Vec<u8>> {
    let read = read_regular(path, bounds::MOST_POINTER as u64)?;
    read.ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "it is too large"))
}

/// Reads a regular file; `None` where it is larger.
fn read_regular(path: &Path, most: u64) -> std::io::Result<Option<Vec<u8>>> {
    let file = open_regular(path)?;
    let found = file.metadata()?;
    if found.len() > most {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
    // It may grow while it is read.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// The longest note in a lock's file, in bytes.
const NOTE_LEN: usize = 64;

/// A lock held until it is dropped; the kernel lets go of it when its process dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Waits for a lock, and tells so where it takes long.
    ///
    /// # Errors
    ///
    /// The lock file cannot be created.
    pub fn wait(path: &Path) -> Result<Self> {
        match Self::take(path)? {
            Some(lock) => Ok(lock),
            None => Self::wait_by(path, fs::File::lock),
        }
    }

    /// Waits for a lock that any number may hold beside each other, and nobody beside one who holds it alone.
    ///
    /// # Errors
    ///
    /// The lock file cannot be created.
    pub fn wait_shared(path: &Path) -> Result<Self> {
        match Self::take_shared(path)? {
            Some(lock) => Ok(lock),
            None => Self::wait_by(path, fs::File::lock_shared),
        }
    }

    fn wait_by(path: &Path, wait: fn(&fs::File) -> std::io::Result<()>) -> Result<Self> {
        loop {
            let file = Self::open(path)?;
            let what = || format!("another git-orch process, which holds {}", path.display());
            let waited = waits::told(what(), || wait(&file));
            waited.with_context(|| format!("cannot lock {}", path.display()))?;
            let lock = Self { file };
            // A file that was removed meanwhile locks nobody out.
            if lock.is_at(path) {
                return Ok(lock);
            }
        }
    }

    /// Takes a lock; `None` where another process holds it.
    ///
    /// # Errors
    ///
    /// The lock file cannot be created.
    pub fn take(path: &Path) -> Result<Option<Self>> {
        Self::take_by(path, fs::File::try_lock)
    }

    /// Takes a lock beside others who share it; `None` where one process holds it alone.
    ///
    /// # Errors
    ///
    /// The lock file cannot be created.
    pub fn take_shared(path: &Path) -> Result<Option<Self>> {
        Self::take_by(path, fs::File::try_lock_shared)
    }

    fn take_by(
        path: &Path,
        take: fn(&fs::File) -> Result<(), fs::TryLockError>,
    ) -> Result<Option<Self>> {
        loop {
            let lock = Self {
                file: Self::open(path)?,
            };
            match take(&lock.file) {
                // A file that its last holder has removed locks nobody out.
                Ok(()) if lock.is_at(path) => return Ok(Some(lock)),
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Ok(None),
                Err(fs::TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
        }
    }

    /// Removes the lock's file while it is held, and lets go of it. Whoever waits for it holds a file that is
    /// gone, which [`Lock::take`] notices.
    pub fn remove(self, path: &Path) {
        // Failing leaves an empty file behind and nothing worse.
        let _ = fs::remove_file(path);
        drop(self);
    }

    /// Reads what a holder has noted in the lock's file; empty where nobody has.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn note(&self) -> Result<Vec<u8>> {
        let mut note = vec![0; NOTE_LEN];
        let length = self
            .file
            .read_at(&mut note, 0)
            .context("cannot read a lock's note")?;
        note.truncate(length);
        Ok(note)
    }

    /// Notes something in the lock's file for the next holder, over what was there; it stays when its
    /// process dies.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn set_note(&self, note: &[u8]) -> Result<()> {
        debug_assert!(note.len() <= NOTE_LEN, "a note is short");
        // Notes of one length at one place: a reader never sees a mixture of two.
        self.file
            .write_all_at(note, 0)
            .context("cannot write a lock's note")
    }

    /// Takes a note away.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn clear_note(&self) -> Result<()> {
        self.file.set_len(0).context("cannot clear a lock's note")
    }

    fn is_at(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let same = |a: &fs::Metadata, b: &fs::Metadata| a.ino() == b.ino() && a.dev() == b.dev();
        match (self.file.metadata(), fs::metadata(path)) {
            (Ok(held), Ok(there)) => same(&held, &there),
            _ => false,
        }
    }

    fn open(path: &Path) -> Result<File> {
        let open = || {
            OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(path)
        };
        let file = match open() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let dir = path.parent().unwrap_or(Path::new("."));
                fs::create_dir_all(dir).and_then(|()| open())
            }
            other => other,
        };
        // A named pipe can be locked, but holds no note.
        let file = file.and_then(|file| require_regular(&file).map(|()| file));
        file.with_context(|| format!("cannot open {}", path.display()))
    }
}
