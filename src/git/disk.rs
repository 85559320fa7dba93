//! What a disk does not give is told apart from what is not there or makes no sense: only the latter is
//! somebody's fault.

use std::error::Error;
use std::io;
use std::path::Path;

use anyhow::{Result, bail};

use super::{GitFailure, Repo};

/// What Git says where the system, and not the repository, is to blame.
const OF_SYSTEM: [&str; 7] = [
    "Input/output error",
    NO_SPACE,
    "Permission denied",
    "Cannot allocate memory",
    "Too many open files",
    "Resource temporarily unavailable",
    "Stale file handle",
];

/// What the system says of a full disk.
const NO_SPACE: &str = "No space left on device";

/// Bytes with which nobody can do anything.
const LEAST_SPACE: u64 = 1 << 20;

/// Keeps what the system said, which the library's own errors hold in a tree that is not followed otherwise.
pub(super) fn library_error(error: &(dyn Error + 'static)) -> anyhow::Error {
    let told = error.to_string();
    match system_code(error) {
        Some(code) => anyhow::Error::new(io::Error::from_raw_os_error(code)).context(told),
        None => anyhow::anyhow!("{told}"),
    }
}

/// Returns the first error code of the system among what led to an error.
fn system_code(error: &(dyn Error + 'static)) -> Option<i32> {
    let of_system = error.downcast_ref::<io::Error>();
    let code = of_system.and_then(io::Error::raw_os_error);
    let in_tree = || {
        let tree = error.downcast_ref::<gix::Error>()?;
        tree.iter_errors().find_map(system_code)
    };
    code.or_else(in_tree)
        .or_else(|| error.source().and_then(system_code))
}

/// Whether something failed because of the disk, and not because of what is on it.
pub(super) fn is_of_disk(error: &anyhow::Error) -> bool {
    let mut causes = error.chain();
    causes.any(|cause| {
        let of_system = cause.downcast_ref::<io::Error>();
        of_system.is_some_and(|error| {
            error.raw_os_error().is_some() && error.kind() != io::ErrorKind::NotFound
        })
    })
}

/// Whether something failed because of the system, and not because of what it was given: by its own error, or by
/// what Git says.
pub fn is_of_system(error: &anyhow::Error) -> bool {
    let failure = |cause: &(dyn Error + 'static)| {
        let failure = cause.downcast_ref::<GitFailure>();
        failure.is_some_and(GitFailure::is_of_system)
    };
    is_of_disk(error) || error.chain().any(failure)
}

/// Returns whether something failed because the disk is full, or the part of it that one may use.
pub fn has_no_space(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    error.chain().any(|cause| {
        let of_system = cause.downcast_ref::<io::Error>();
        let of_git = cause.downcast_ref::<GitFailure>();
        of_system.is_some_and(|error| matches!(error.kind(), StorageFull | QuotaExceeded))
            || of_git.is_some_and(|failure| failure.stderr.contains(NO_SPACE))
    })
}

/// Returns whether nothing can be written to the disk that a directory is on.
pub fn is_full(dir: &Path) -> bool {
    // What cannot be asked is not known to be full.
    rustix::fs::statvfs(dir).is_ok_and(|found| {
        let has_no_blocks = found.f_bavail.saturating_mul(found.f_frsize) < LEAST_SPACE;
        // Filesystems that have no fixed number of files say that they have none.
        let has_no_files = found.f_files > 0 && found.f_favail == 0;
        found.f_blocks > 0 && (has_no_blocks || has_no_files)
    })
}

impl GitFailure {
    /// Whether Git failed because of the system, and not because of what it was given. What the system said ends a
    /// line of Git's; names that somebody chose stand in quotes or before it.
    pub fn is_of_system(&self) -> bool {
        let of_system = |line: &str| {
            let said = line.rsplit(": ").next().unwrap_or_default();
            line != said && OF_SYSTEM.contains(&said)
        };
        self.stderr.lines().any(of_system)
    }
}

impl Repo {
    /// Forgets which objects the disk did not give.
    pub fn forget_failed_reads(&self) {
        self.failed_read.take();
    }

    /// Remembers that the disk did not give an object.
    pub(super) fn note_failed_read(&self, error: &anyhow::Error) {
        if is_of_disk(error) {
            *self.failed_read.borrow_mut() = Some(format!("{error:#}"));
        }
    }

    /// Makes sure that the disk gave every object that was asked for since [`Repo::forget_failed_reads`]: what
    /// was concluded from the others is worth nothing if not.
    ///
    /// # Errors
    ///
    /// It did not give one.
    pub fn require_reads(&self) -> Result<()> {
        match self.failed_read.take() {
            Some(why) => bail!("{why}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fails_is_told_from_what_is_not_there() {
        let from = |code| library_error(&io::Error::from_raw_os_error(code));
        let (no_entry, io_error) = (2, 5);
        assert!(is_of_disk(&from(io_error).context("cannot read object 1")));
        assert!(!is_of_disk(&from(no_entry)));
        let of_library = gix::Error::from_error(io::Error::from_raw_os_error(io_error));
        assert!(is_of_disk(&library_error(&of_library)));
        assert!(!is_of_disk(&library_error(&io::Error::other(
            "does not inflate"
        ))));
    }

    #[test]
    fn a_git_that_the_system_stopped_is_told_from_one_that_refuses() {
        let failure = |code, stderr: &str| GitFailure {
            command: Vec::new(),
            dir: None,
            code,
            stdout: String::new(),
            stderr: stderr.to_owned(),
        };
        // What makes Git crash again and again is what it was given.
        assert!(!failure(None, "").is_of_system());
        let named = "error: cannot merge 'a: Permission denied'";
        assert!(!failure(Some(128), named).is_of_system());
        let unread = "error: unable to open loose object 12: Input/output error";
        assert!(failure(Some(128), unread).is_of_system());
        assert!(!failure(Some(128), "fatal: bad object 12").is_of_system());
    }
}
