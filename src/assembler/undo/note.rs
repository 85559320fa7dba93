//! What is noted before branches move, so that a killed undo is finished by whoever comes next.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{Asked, How, Outcome, Work};
use crate::git::{Oid, Repo};
use crate::model::{TaskId, branch};
use crate::seal;

/// What the note's seal says that it is.
const SEALED: &str = "undo";

/// An undo that is about to happen.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    target: String,
    landing: String,
    pub(super) task: Option<TaskId>,
    pub(super) how: How,
    pub(super) before: String,
    after: String,
    kept: Option<String>,
    built_on: Vec<String>,
    pub(super) reason: String,
    pub(super) is_tested: bool,
    pub(super) test: Option<String>,
}

impl Note {
    pub(super) fn of(
        outcome: &Outcome,
        after: Oid,
        work: &Work<'_>,
        asked: &Asked,
        is_tested: bool,
    ) -> Self {
        Self {
            target: format!("refs/heads/{}", outcome.target),
            landing: outcome.landing.to_string(),
            task: outcome.task.clone(),
            how: outcome.how,
            before: outcome.before.to_string(),
            after: after.to_string(),
            kept: outcome.kept.clone(),
            built_on: outcome.built_on.clone(),
            reason: asked.reason.clone(),
            is_tested,
            test: work.proof.run.test.clone(),
        }
    }

    /// Returns the note; one that is not ours, or is of another version, says nothing that could be acted on.
    pub(super) fn read(repo: &Repo) -> Result<Option<Self>> {
        let bytes = seal::read(repo, &path(repo), SEALED)?;
        Ok(bytes.and_then(|bytes| Self::parse(&bytes)))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let note: Self = serde_json::from_slice(bytes).ok()?;
        branch::check(note.target.strip_prefix("refs/heads/")?).ok()?;
        let ids = [&note.landing, &note.before, &note.after];
        let are_ids = ids.iter().all(|id| Oid::from_hex(id.as_bytes()).is_ok());
        are_ids.then_some(note)
    }

    pub(super) fn write(&self, repo: &Repo) -> Result<()> {
        let text = serde_json::to_vec(self).context("cannot write a note")?;
        seal::replace(repo, &path(repo), SEALED, text)
    }

    /// Returns whether the branch has moved as noted.
    pub(super) fn is_done(&self, repo: &Repo) -> Result<bool> {
        let Some(now) = repo.read_ref(&self.target)? else {
            return Ok(false);
        };
        match self.how {
            How::MovedBack => Ok(!repo.is_ancestor(self.landing()?, now)?),
            How::Reverted => repo.is_ancestor(self.after()?, now),
        }
    }

    pub(super) fn outcome(&self) -> Result<Outcome> {
        Ok(Outcome {
            target: crate::git::checkout::short(&self.target).to_owned(),
            landing: self.landing()?,
            task: self.task.clone(),
            how: self.how,
            before: Oid::from_hex(self.before.as_bytes())?,
            after: Some(self.after()?),
            kept: self.kept.clone(),
            built_on: self.built_on.clone(),
        })
    }

    /// Full name of the branch.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    pub(super) fn landing(&self) -> Result<Oid> {
        Ok(Oid::from_hex(self.landing.as_bytes())?)
    }

    pub(super) fn after(&self) -> Result<Oid> {
        Ok(Oid::from_hex(self.after.as_bytes())?)
    }
}

/// Returns whether there is a note.
pub(super) fn is_there(repo: &Repo) -> bool {
    path(repo).exists()
}

/// Removes the note of an undo that is finished.
pub(super) fn strike(repo: &Repo) {
    // One that stays is found finished by the next run.
    let _ = std::fs::remove_file(path(repo));
}

fn path(repo: &Repo) -> PathBuf {
    repo.orch_dir().join("undoing.json")
}
