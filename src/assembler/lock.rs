//! One assembler at a time: whoever assembles or approves holds this lock.

use std::path::PathBuf;

use anyhow::Result;

use super::report::{Options, Progress, Watch};
use crate::error::UserError;
use crate::git::Repo;
use crate::git::files::Lock;

/// Proof that this process alone assembles or approves.
#[derive(Debug)]
pub struct Alone {
    lock: Lock,
    path: PathBuf,
}

impl Alone {
    /// Takes the lock.
    ///
    /// # Errors
    ///
    /// Another process assembles or approves.
    pub fn take(repo: &Repo) -> Result<Self> {
        let path = repo.orch_dir().join("assemble.lock");
        match Lock::take(&path)? {
            Some(lock) => Ok(Self { lock, path }),
            None => Err(UserError::new(
                "another `git orch assemble` or `approve` is at work in this repository",
            )
            .hint("git orch status")
            .into()),
        }
    }

    /// Takes the lock as soon as whoever has it is done, and says so where that takes a while.
    ///
    /// # Errors
    ///
    /// Another process assembles or approves, and waiting is not wanted.
    pub(super) fn wait(repo: &Repo, options: &Options, watch: &mut dyn Watch) -> Result<Self> {
        if options.no_wait {
            return Self::take(repo);
        }
        let path = repo.orch_dir().join("assemble.lock");
        if let Some(lock) = Lock::take(&path)? {
            return Ok(Self { lock, path });
        }
        let text =
            "another `git orch assemble` or `approve` is at work here: this one waits for its turn";
        watch.progress(Progress::Note(text));
        let lock = Lock::wait(&path)?;
        Ok(Self { lock, path })
    }

    /// Lets go of the lock and removes its file, where nothing of ours is to be left behind.
    pub(super) fn leave_nothing(self) {
        self.lock.remove(&self.path);
    }
}
