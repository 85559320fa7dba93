//! The test that a branch must pass where it goes, forward or back.

use anyhow::Result;

use crate::assembler::lock::Alone;
use crate::assembler::method;
use crate::assembler::report::{Options, Watch};
use crate::error::UserError;
use crate::git::{Oid, Repo};
use crate::model::RunSpec;
use crate::model::train::obtained::Goal;

/// How a commit is shown to pass.
pub(super) struct Proof {
    /// The test command, and how it is run.
    pub(super) run: RunSpec,
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
        let Some(command) = self.run.test.as_deref() else {
            if self.needs_command {
                return Err(UserError::new(format!(
                    "there is no test command, and {what} was never tested"
                ))
                .hint("name one, as in `git orch undo --onto main --test true`")
                .into());
            }
            return Ok(true);
        };
        let tree = repo.read_commit(commit)?.tree;
        let goal = match self.needs_command {
            true => Goal::Base,
            false => Goal::Within,
        };
        let mut tester = method::tester(repo, alone, &self.run, goal, &Options::default())?;
        match tester.settle((tree, commit), what, watch)? {
            Ok(()) => Ok(true),
            Err(red) => Err(UserError::new(format!(
                "{what} fails `{command}`: {}\n{}",
                red.why, red.output
            ))
            .into()),
        }
    }
}
