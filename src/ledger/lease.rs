//! Leases: a ref per machine without history, moved while it holds claims (design.md 2).

use anyhow::Result;

use super::Ledger;
use crate::clock;
use crate::error::UserError;
use crate::git::objects::NewCommit;
use crate::git::refs::Swap;
use crate::model::{Claim, Timestamp};

/// Renewals of one machine at the same moment that may get in each other's way before giving up.
const MOST_TRIES: usize = 20;

impl Ledger {
    /// Renews this machine's lease, and returns until when a claim holds then, for people to read.
    ///
    /// The ref's commit has no parent: a thousand renewals leave nothing behind that `gc` does not take.
    ///
    /// # Errors
    ///
    /// The claim does not hold, or the ref cannot be written.
    pub fn renew(&self, claim: &Claim) -> Result<Timestamp> {
        self.board().holds(claim).map_err(UserError::from)?;
        let now = clock::now();
        let lease = i64::try_from(self.board().run().lease.as_secs()).unwrap_or(i64::MAX);
        let until = Timestamp(now.0.saturating_add(lease));
        let name = format!("refs/orch/lease/{}", self.machine());
        let who = (
            self.machine().to_string(),
            format!("git-orch@{}.invalid", self.machine()),
        );
        for _ in 0..MOST_TRIES {
            let old = self.repo().read_ref(&name)?;
            let message = format!(
                "lease of {} until {}\n\nOrch-Machine: {}\nOrch-Id: {}\n",
                self.machine(),
                clock::rfc3339(until),
                self.machine(),
                clock::new_op_id()
            );
            let new = self.repo().write_commit(&NewCommit {
                tree: self.repo().write_tree(b"")?,
                parents: &[],
                author: &who,
                committer: &who,
                time: now.0,
                message: &message,
            })?;
            if self.repo().swap_refs(&[(&name, old, Some(new))], "renew")? == Swap::Won {
                return Ok(until);
            }
        }
        Err(UserError::new(format!(
            "the lease {name} is being moved by others all the time"
        ))
        .into())
    }
}
