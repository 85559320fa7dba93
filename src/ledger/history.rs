//! The event log, read back from the ledger's commits.

use anyhow::Result;

use super::Ledger;
use crate::git::Oid;
use crate::model::event::Told;

/// One commit of the ledger.
#[derive(Debug, Clone)]
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

impl Ledger {
    /// Returns the ledger's commits, newest first.
    pub fn history(&self) -> impl Iterator<Item = Result<Entry>> + '_ {
        let mut next = self.tip();
        std::iter::from_fn(move || {
            let commit = next.take()?;
            match self.repo().read_commit(commit) {
                Ok(data) => {
                    next = data.parents.first().copied();
                    Some(Ok(Entry {
                        commit,
                        time: data.time,
                        author: data.author,
                        told: Told::parse(&data.message),
                    }))
                }
                Err(error) => Some(Err(error)),
            }
        })
    }
}
