//! Where a coder's success commands run: exactly the commit's files, and nothing that only the coder's worktree has.
//!
//! Each coder has one, made and kept as the assembler's own are, so that only what changed is written anew. Its
//! lock is held while it is used: an agent may submit by itself while an executor judges another's work.

use std::path::Path;

use anyhow::Result;

use super::bench::without_our_variables;
use super::fault::Fault;
use super::reports::Reports;
use super::test_worktree::{TestWorktree, Wanted};
use crate::git::files::Lock;
use crate::git::{Oid, Repo};
use crate::model::keep::Keep;
use crate::model::{AgentId, Command};
use crate::process::{Ended, Ending};

/// The worktree that one coder's work is checked in, for whoever holds this.
#[derive(Debug)]
pub struct CheckWorktree {
    worktree: TestWorktree,
    commit: Oid,
    by_itself: bool,
    _own: Lock,
}

impl CheckWorktree {
    /// Brings a coder's check worktree to a commit; returns why that cannot be done where the commit is to blame.
    /// `ground` is a commit that can be checked out unless nothing can.
    ///
    /// # Errors
    ///
    /// The disk cannot be written, or Git fails for no fault of the commit's.
    pub fn at(
        repo: &Repo,
        agent: AgentId,
        (commit, ground): (Oid, Oid),
        keep: &Keep,
    ) -> Result<Result<Self, String>> {
        let own = Lock::wait(&TestWorktree::lock_of_coder(repo, agent))?;
        let worktree = TestWorktree::of_coder(repo, agent, keep);
        let prepared = worktree.prepare(&Wanted {
            commit,
            clean: false,
            ground: Some(ground),
            reports: &Reports::default(),
        });
        match prepared {
            Ok(_) => Ok(Ok(Self {
                worktree,
                commit,
                by_itself: true,
                _own: own,
            })),
            Err(Fault::Branch(why)) => Ok(Err(why)),
            Err(Fault::Everything(error)) => Err(error),
        }
    }

    /// Returns its top directory.
    pub fn dir(&self) -> &Path {
        self.worktree.dir()
    }

    /// Takes note of how a command ended there: what was killed in the middle of writing leaves what nobody can use.
    pub fn note(&mut self, ended: &Ended) {
        let by_itself = ended.leftovers == 0 && matches!(ended.ending, Ending::Exited(_));
        self.by_itself &= by_itself;
    }
}

impl Drop for CheckWorktree {
    fn drop(&mut self) {
        // What is broken there is mended before the next use.
        let _ = self.worktree.end(self.commit, self.by_itself);
    }
}

/// Returns the command line of a check: as whoever asks for it has it, but for the variables by which an agent is
/// known, so that it says the same whoever asks.
pub fn check_command(run: &str) -> Command {
    without_our_variables(run)
}
