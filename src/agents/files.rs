//! Where the files of an attempt lie: `<common>/orch/attempts/<task>/<attempt>/`.

use std::path::{Path, PathBuf};

use crate::git::Repo;
use crate::model::{Attempt, Profile, RunSpec, TaskId};
use crate::workspace::attempt_dir;
use crate::workspace::private::Private;

/// The directory of one attempt, which outlives the worktree's next task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFiles {
    dir: PathBuf,
    /// The directory that the agent may write, where that is not the same.
    out: Option<PathBuf>,
}

impl AttemptFiles {
    /// Returns the place of an attempt's files, which need not exist.
    pub fn new(repo: &Repo, task: &TaskId, attempt: Attempt) -> Self {
        Self {
            dir: attempt_dir(repo, task, attempt),
            out: None,
        }
    }

    /// Returns the place of an attempt of a profile's agent, which may be kept in a sandbox.
    pub fn of_profile(
        repo: &Repo,
        task: &TaskId,
        attempt: Attempt,
        run: &RunSpec,
        profile: &Profile,
    ) -> Self {
        let files = Self::new(repo, task, attempt);
        match profile.sandbox_in(&run.sandbox).is_none() {
            true => files,
            false => files.handing_over_in(Private::of(repo, task, attempt).out()),
        }
    }

    /// Returns the same place for an agent that can write one directory of it only.
    #[must_use]
    fn handing_over_in(self, out: PathBuf) -> Self {
        Self {
            out: Some(out),
            ..self
        }
    }

    /// Returns the directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the file that the agent's prompt is in.
    pub fn prompt(&self) -> PathBuf {
        self.dir.join("prompt.md")
    }

    /// Returns the file that everything the agent prints goes into, then the output of the checks.
    pub fn log(&self) -> PathBuf {
        self.dir.join("agent.log")
    }

    /// Returns the file that the agent may leave its handoff contract in.
    pub fn result(&self) -> PathBuf {
        self.out.as_ref().unwrap_or(&self.dir).join("result.json")
    }

    /// Returns the file that says what went wrong before; there on a retry only.
    pub fn findings(&self) -> PathBuf {
        self.dir.join("findings.md")
    }

    /// Returns the file with the mark of the agent's processes.
    pub fn mark(&self) -> PathBuf {
        self.dir.join("mark")
    }
}
