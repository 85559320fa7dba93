//! Which worktrees are lent to agents in sandboxes, and where one is at work just now: there nobody else runs Git.
//!
//! It may write all that lies there, repositories with configuration of its own as well, and Git looks into those.
//! Once all of it has ended, what it has left can be put right before Git looks.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::attempts::attempt_dir;
use super::settings;
use crate::clock;
use crate::config;
use crate::error::UserError;
use crate::git::Repo;
use crate::git::files::{read_if_exists, replace};
use crate::model::AgentId;
use crate::process;

/// Name of the directory of an attempt for what its sandbox may write.
pub(super) const DIR: &str = "private";

/// Time that is given to what is just about to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is noted of a coder's worktree while it is lent.
pub(super) struct Lent {
    /// Branch of the task.
    pub(super) branch: String,
    /// Where everything lies that the agent has to itself.
    pub(super) private: PathBuf,
}

impl Lent {
    fn file(repo: &Repo, agent: AgentId) -> PathBuf {
        repo.orch_dir().join(format!("worktrees/{agent}.lent"))
    }

    /// Reads what is noted; `None` where a worktree is not lent.
    ///
    /// # Errors
    ///
    /// The note cannot be read.
    pub(super) fn load(repo: &Repo, agent: AgentId) -> Result<Option<Self>> {
        let Some(note) = read_if_exists(&Self::file(repo, agent))? else {
            return Ok(None);
        };
        let cut = note.iter().position(|byte| *byte == b'\n');
        let (branch, root) = note.split_at(cut.context("the note of a lent worktree is broken")?);
        Ok(Some(Self {
            branch: String::from_utf8_lossy(branch).into_owned(),
            private: PathBuf::from(OsString::from_vec(root[1..].to_vec())),
        }))
    }

    /// Writes the note.
    ///
    /// # Errors
    ///
    /// The disk cannot be written.
    pub(super) fn write(&self, repo: &Repo, agent: AgentId) -> Result<()> {
        let mut note = format!("{}\n", self.branch).into_bytes();
        note.extend(self.private.as_os_str().as_bytes());
        replace(&Self::file(repo, agent), &note)
    }

    /// Removes the note.
    ///
    /// # Errors
    ///
    /// The disk cannot be written.
    pub(super) fn forget(repo: &Repo, agent: AgentId) -> Result<()> {
        fs::remove_file(Self::file(repo, agent))
            .context("cannot remove the note of a lent worktree")
    }
}

/// Returns whether a coder's worktree is lent to its agent's own repository.
pub(super) fn is_lent(repo: &Repo, agent: AgentId) -> bool {
    Lent::file(repo, agent).exists()
}

/// Returns whether an agent in a sandbox, or a check of its work there, runs in a coder's worktree.
pub fn is_busy(repo: &Repo, agent: AgentId) -> bool {
    // Who is in that sandbox can run nothing but what runs there.
    if config::sandbox().is_some() {
        return false;
    }
    let Some(attempt) = sandboxed_attempt(repo, agent) else {
        return false;
    };
    let mark = read_if_exists(&attempt.join("mark")).ok().flatten();
    mark.is_some_and(|mark| process::is_alive(&String::from_utf8_lossy(&mark)))
}

/// Refuses where something in a sandbox is at work in a coder's worktree, and does not end in a moment.
///
/// # Errors
///
/// It is.
pub(super) fn require_idle(repo: &Repo, agent: AgentId) -> Result<()> {
    let begun = clock::monotonic();
    while is_busy(repo, agent) {
        if clock::monotonic().duration_since(begun) > PATIENCE {
            let error = format!(
                "agent {agent} is at work in its sandbox, and git is not run in its worktree meanwhile"
            );
            return Err(UserError::new(error)
                .hint(format!("git orch status {agent}"))
                .into());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Returns the directory of the attempt whose sandbox has a coder's worktree, or had it last.
fn sandboxed_attempt(repo: &Repo, agent: AgentId) -> Option<PathBuf> {
    if let Ok(Some(lent)) = Lent::load(repo, agent) {
        return lent.private.parent().map(Path::to_path_buf);
    }
    let (task, attempt) = settings::assigned(repo, agent)?;
    let dir = attempt_dir(repo, &task, attempt);
    dir.join(DIR).is_dir().then_some(dir)
}
