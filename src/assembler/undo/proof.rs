//! The test that a branch must pass where it goes, forward or back.

use std::time::Duration;

use anyhow::Result;

use crate::assembler::bench::Bench;
use crate::assembler::findings::clean;
use crate::assembler::lock::Alone;
use crate::assembler::report::{Progress, Watch};
use crate::assembler::verdicts::Verdicts;
use crate::error::UserError;
use crate::git::{Oid, Repo};

/// Time that a test may take where no plan says so.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// How a commit is shown to pass.
pub(super) struct Proof {
    /// Test command, run by `sh`.
    pub(super) command: Option<String>,
    /// Time that it may take.
    pub(super) timeout: Duration,
    /// Whether there is nothing to go by without a command; a plan may have none.
    pub(super) needs_command: bool,
}

impl Proof {
    /// Tests a commit unless its tree is known to pass; returns whether it may be recorded as tested.
    pub(super) fn give(
        &self,
        repo: &Repo,
        alone: &Alone,
        commit: Oid,
        what: &str,
        watch: &mut dyn Watch,
    ) -> Result<bool> {
        let Some(command) = self.command.as_deref() else {
            if self.needs_command {
                return Err(UserError::new(format!(
                    "there is no test command, and {what} was never tested"
                ))
                .hint("name one, as in `git orch undo --onto main --test true`")
                .into());
            }
            return Ok(true);
        };
        let mut verdicts = Verdicts::new(command);
        let tree = repo.read_commit(commit)?.tree;
        let said = match verdicts.known(repo, tree)? {
            Some(known) => known,
            None => {
                watch.progress(Progress::Testing { what, command });
                let said = Bench::new(repo, alone, self.timeout)?.test(commit, command)?;
                verdicts.learn(repo, tree, &said)?;
                said
            }
        };
        match said {
            Ok(()) => Ok(true),
            Err(red) => Err(UserError::new(format!(
                "{what} fails `{command}`: {}\n{}",
                red.why,
                clean(&red.output)
            ))
            .into()),
        }
    }
}
