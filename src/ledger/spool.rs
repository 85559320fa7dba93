//! Intents that wait for whoever holds the ledger's lock (docs/decisions/writing.md).
//!
//! Each is a file, written whole, on which its writer keeps a lock for as long as it waits: an intent whose
//! writer is gone is not carried out any more. The holder puts the answer behind the intent in the same
//! file and then removes the file's name; the writer reads the answer through the handle that it has kept.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::transact::Done;
use crate::git::{Repo, files};
use crate::model::bounds::MOST_OWN;
use crate::model::{Intent, Refusal};

/// The directory of intents.
#[derive(Debug)]
pub(super) struct Spool {
    dir: PathBuf,
}

/// An intent as it lies in the spool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Letter {
    /// The ledger's tip when it was written: the intent is not carried out up to there.
    pub seen: String,
    /// The intent.
    pub intent: Intent,
}

/// What an intent came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Answer {
    /// It is on the ledger.
    Done(Box<Done>),
    /// It was refused.
    Refused(Refusal),
    /// It could not be tried: the message and what to do.
    Failed {
        message: String,
        hints: Vec<String>,
        /// Whether the remote could not be reached, so that trying later is worth it.
        unreachable: bool,
    },
}

/// An intent that waits, seen by its writer.
#[derive(Debug)]
pub(super) struct Waiting {
    file: File,
    length: u64,
}

/// An intent that waits, seen by the holder of the lock.
#[derive(Debug)]
pub(super) struct Waiter {
    file: File,
    path: PathBuf,
    length: u64,
    /// What it asks.
    pub letter: Letter,
}

impl Spool {
    pub(super) fn of(repo: &Repo) -> Self {
        Self {
            dir: repo.orch_dir().join("spool"),
        }
    }

    /// Leaves an intent for the holder of the lock.
    pub(super) fn leave(&self, letter: &Letter) -> Result<Waiting> {
        let mut text = serde_json::to_vec(letter).context("cannot write an intent")?;
        text.push(b'\n');
        let write = || -> std::io::Result<File> {
            let builder = || {
                tempfile::Builder::new()
                    .prefix(".new-")
                    .tempfile_in(&self.dir)
            };
            let mut new = match builder() {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    fs::create_dir_all(&self.dir)?;
                    builder()?
                }
                new => new?,
            };
            new.as_file().lock()?;
            new.write_all(&text)?;
            let name = self.dir.join(&letter.intent.id.0);
            new.persist(name).map_err(|error| error.error)
        };
        let file = write().with_context(|| format!("cannot write to {}", self.dir.display()))?;
        Ok(Waiting {
            file,
            length: text.len() as u64,
        })
    }

    /// Takes back an intent that its writer carries out by itself.
    pub(super) fn withdraw(&self, letter: &Letter) -> Result<()> {
        let path = self.dir.join(&letter.intent.id.0);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Returns the intents that wait, oldest first; those of writers that are gone are cleared away.
    pub(super) fn waiters(&self) -> Vec<Waiter> {
        let Ok(listing) = fs::read_dir(&self.dir) else {
            return Vec::new();
        };
        let mut paths: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).collect();
        // Ids begin with the time, so names sort by age.
        paths.sort();
        paths
            .into_iter()
            .filter_map(|path| take_up(&path))
            .collect()
    }

    /// Returns the files of writers that are gone, whole or not.
    pub(super) fn dead(&self) -> Vec<PathBuf> {
        let Ok(listing) = fs::read_dir(&self.dir) else {
            return Vec::new();
        };
        let mut paths: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| is_dead(path));
        // A file is not locked yet in the moment of its making.
        if paths.iter().any(|path| is_unfinished(path)) {
            std::thread::sleep(MAKING);
            paths.retain(|path| is_dead(path));
        }
        paths.sort();
        paths
    }
}

/// How long a file of the spool may exist before its writer has locked it.
const MAKING: Duration = Duration::from_millis(200);

/// Whether a writer has not given a file its name yet.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with('.')
}

/// Whether nobody holds a file's lock any more.
fn is_dead(path: &Path) -> bool {
    files::open_regular(path).is_ok_and(|file| file.try_lock_shared().is_ok())
}

/// Opens one file of the spool; `None` where it is nobody's any more, or not whole yet.
fn take_up(path: &Path) -> Option<Waiter> {
    if path.file_name()?.to_string_lossy().starts_with('.') {
        return None;
    }
    let mut file = File::options().read(true).write(true).open(path).ok()?;
    match file.try_lock_shared() {
        // Its writer holds it, and waits.
        Err(TryLockError::WouldBlock) => {}
        // Its writer is gone, whether it had an answer or not.
        Ok(()) | Err(TryLockError::Error(_)) => {
            let _ = fs::remove_file(path);
            return None;
        }
    }
    if !file
        .metadata()
        .is_ok_and(|meta| meta.is_file() && meta.len() <= MOST_OWN as u64)
    {
        return None;
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).ok()?;
    let end = text.iter().position(|byte| *byte == b'\n')? + 1;
    let Ok(letter) = serde_json::from_slice(&text[..end]) else {
        // Of another version: its writer gets no answer and says so.
        let _ = fs::remove_file(path);
        return None;
    };
    if text.len() > end && text.ends_with(b"\n") {
        // Answered by a holder that was killed before it could remove the name.
        let _ = fs::remove_file(path);
        return None;
    }
    Some(Waiter {
        file,
        path: path.to_owned(),
        length: end as u64,
        letter,
    })
}

impl Waiter {
    /// Gives the answer.
    pub(super) fn answer(mut self, answer: &Answer) -> Result<()> {
        let mut text = serde_json::to_vec(answer).context("cannot write an answer")?;
        text.push(b'\n');
        // What a killed holder may have begun is written over.
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file
            .write_all(&text)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        let _ = fs::remove_file(&self.path);
        Ok(())
    }
}

impl Waiting {
    /// Returns the answer, once there is one.
    pub(super) fn answer(&mut self) -> Result<Option<Answer>> {
        let mut text = Vec::new();
        self.file
            .seek(SeekFrom::Start(self.length))
            .and_then(|_| self.file.read_to_end(&mut text))
            .context("cannot read an answer")?;
        if !text.ends_with(b"\n") {
            return Ok(None);
        }
        serde_json::from_slice(&text)
            .map(Some)
            .context("an answer in the spool is of another version of git-orch")
    }
}

#[cfg(test)]
mod tests;
