//! The event log, read back from the ledger's commits.

use anyhow::Result;

use crate::git::{Oid, Repo};
use crate::model::event::Told;

/// One commit of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The commit.
    pub commit: Oid,
    /// When it was made, in seconds since 1970.
    pub time: i64,
    /// Who made it.
    pub author: String,
    /// Its message.
    pub told: Told,
}

/// The way from a commit to the first one, along first parents.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    repo: &'a Repo,
    next: Option<Oid>,
}

impl<'a> Walk<'a> {
    /// Returns the way that begins at a commit.
    pub(super) fn new(repo: &'a Repo, from: Option<Oid>) -> Self {
        Self { repo, next: from }
    }

    /// Returns the commit that comes next.
    pub(super) fn peek(&self) -> Option<Oid> {
        self.next
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Entry>;

    /// Reads a commit; after one that cannot be read there is nothing more.
    fn next(&mut self) -> Option<Result<Entry>> {
        let commit = self.next.take()?;
        Some(self.repo.read_commit(commit).map(|data| {
            self.next = data.parents.first().copied();
            Entry {
                commit,
                time: data.time,
                author: data.author,
                told: Told::parse(&data.message),
            }
        }))
    }
}
