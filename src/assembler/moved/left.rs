//! The note of where branches were left, and of what a person has let stand.
//!
//! It is sealed: one that somebody else wrote says nothing, and every branch is then judged from where it was cut.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::git::files::Lock;
use crate::git::{Oid, Repo};
use crate::seal;

/// What the note's seal says that it is.
const SEALED: &str = "left";

/// Where branches were left.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Left {
    /// Commits by the full names of branches.
    branches: BTreeMap<String, String>,
    /// Commits that landed and that a person lets be gone.
    gone: BTreeSet<String>,
}

impl Left {
    /// Reads the note; nothing where there is none of ours.
    pub(super) fn load(repo: &Repo) -> Result<Self> {
        let bytes = seal::read(repo, &path(repo), SEALED)?;
        // Written whole; one that cannot be read is of another version, and says nothing.
        Ok(bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default())
    }

    /// Changes the note: teams that come together side by side note their moves in one file.
    pub(super) fn change(repo: &Repo, change: impl FnOnce(&mut Self)) -> Result<()> {
        let _alone = Lock::wait(&repo.orch_dir().join("left.lock"))?;
        let mut left = Self::load(repo)?;
        change(&mut left);
        let text = serde_json::to_vec(&left).context("cannot write a note")?;
        seal::replace(repo, &path(repo), SEALED, text)
    }

    /// Returns where a branch was left.
    pub(super) fn of(&self, branch: &str) -> Option<Oid> {
        id(self.branches.get(branch)?)
    }

    /// Returns where all of them were left.
    pub(super) fn all(&self) -> impl Iterator<Item = Oid> {
        self.branches.values().filter_map(|hex| id(hex))
    }

    /// Notes where a branch is left; `None` where it is left without being there.
    pub(super) fn put(&mut self, branch: &str, tip: Option<Oid>) {
        match tip {
            Some(tip) => self.branches.insert(branch.to_owned(), tip.to_string()),
            None => self.branches.remove(branch),
        };
    }

    /// Notes that branches which were left at one commit are at another.
    pub(super) fn put_back(&mut self, before: &str, after: Oid, is_there: impl Fn(&str) -> bool) {
        for (name, tip) in &mut self.branches {
            if *tip == before && is_there(name) {
                *tip = after.to_string();
            }
        }
    }

    /// Returns whether a person lets a landed commit be gone.
    pub(super) fn lets_be_gone(&self, commit: Oid) -> bool {
        self.gone.contains(&commit.to_string())
    }

    /// Lets landed commits be gone, and no others.
    pub(super) fn let_be_gone(&mut self, commits: &[Oid]) {
        self.gone = commits.iter().map(ToString::to_string).collect();
    }
}

fn id(hex: &str) -> Option<Oid> {
    Oid::from_hex(hex.as_bytes()).ok()
}

fn path(repo: &Repo) -> PathBuf {
    repo.orch_dir().join("left.json")
}
