//! Making a remote's ledger the truth, and this clone's own again.
//!
//! The remote is asked first: one that does not take the ledger changes nothing. That it is being asked is noted
//! before, since a process that is killed then does not learn what came of it: until somebody has found out,
//! nothing is decided here that the remote may know nothing of.

use std::path::PathBuf;

use anyhow::Result;

use super::Ledger;
use super::hold::{self, Hold, SEEN, Truth};
use super::transact::Matter;
use super::transport::{Lease, Unreachable};
use crate::error::{UserError, user_error};
use crate::git::files::{self, Lock};
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};
use crate::model::board::LOCAL;
use crate::model::{Actor, Op};

impl Ledger {
    /// Takes over from the last holder of the ledger's lock, and finishes what it may have left half done.
    ///
    /// # Errors
    ///
    /// The ledger was set back; or whether a remote has taken it is not known, and it cannot be asked.
    pub(super) fn take_over(&mut self, lock: Lock) -> Result<Hold> {
        let hold = Hold::begin(&self.repo, lock, &self.name, self.truth())?;
        if let Some(remote) = asked(&self.repo)? {
            self.refresh()?;
            if self.truth() == Truth::AtRemote {
                forget_asking(&self.repo);
            } else {
                let finished = self.publish_as_holder(&hold, &remote);
                finished.map_err(|error| interrupted(&remote, error))?;
            }
        }
        Ok(hold)
    }

    /// Makes a remote's ledger the truth: ours goes there, unless there is one already that ours follows.
    ///
    /// # Errors
    ///
    /// There is no such remote, it cannot be reached, does not take the ledger or has another one.
    pub fn publish(&mut self, remote: &str) -> Result<()> {
        self.require_known(remote)?;
        if let Some(now) = self.remote().filter(|now| now != remote) {
            return Err(
                UserError::new(format!("the ledger's truth is at the remote {now}"))
                    .hint("git orch remote set local")
                    .into(),
            );
        }
        let lock = Lock::wait(&self.repo.orch_dir().join("lock"))?;
        let hold = Hold::begin(&self.repo, lock, &self.name, self.truth())?;
        self.publish_as_holder(&hold, remote)
    }

    fn publish_as_holder(&mut self, hold: &Hold, remote: &str) -> Result<()> {
        let theirs = self.fetch_only(remote)?;
        self.refresh()?;
        if let (Some(theirs), Some(ours)) = (theirs, self.snapshot.tip) {
            if hold::descends(&self.repo, ours, theirs) {
                // It got there before, and whoever sent it was killed before it was noted here.
                self.move_to(hold, theirs, "publish")?;
                self.refresh()?;
            } else if !hold::descends(&self.repo, theirs, ours) {
                forget_asking(&self.repo);
                return Err(UserError::new(format!(
                    "remote {remote} has a ledger that does not belong to this one: it is at {theirs}"
                ))
                .hint("git orch init --undo && git orch init")
                .into());
            }
        }
        let intent = self.intent(Actor::Human, Op::Authority(remote.to_owned()));
        let mut matters = [Matter {
            intent,
            outcome: None,
        }];
        let decided = self.decide_all(&matters)?;
        let Some(new) = self.snapshot.tip else {
            return Ok(());
        };
        // First there, then here: a remote that does not take it changes nothing.
        let message = decided.message();
        self.require_unlocked()?;
        files::replace(&asking(&self.repo), remote.as_bytes())?;
        let pushed = self.push_first(remote, theirs, new);
        if let Err(error) = pushed {
            // Whoever cannot be reached any more may have taken it.
            if !error.is::<Unreachable>() {
                forget_asking(&self.repo);
            }
            self.refresh()?;
            return Err(error);
        }
        self.move_to(hold, new, &message)?;
        forget_asking(&self.repo);
        decided.settle(&mut matters);
        hold.pass_on(&self.repo, &self.name)?;
        self.refresh()
    }

    /// Pushes the ledger to a remote that has not had this of it.
    fn push_first(&self, remote: &str, theirs: Option<Oid>, new: Oid) -> Result<()> {
        let Some(complaint) = self.push(remote, Lease::BuildsOn(theirs), new, &[])? else {
            return Ok(());
        };
        // Nobody knows what a broken conversation has come to: the remote does.
        if let Some(now) = self.fetch_only(remote)?
            && hold::descends(&self.repo, new, now)
        {
            return Ok(());
        }
        Err(UserError::new(format!(
            "remote {remote} does not take the ledger: {complaint}"
        ))
        .hint(format!("git push {remote} {}", self.branch()))
        .into())
    }

    /// Makes this clone's ledger its own truth again. The remote and other clones hear nothing of it: from here
    /// on it goes its own way.
    ///
    /// # Errors
    ///
    /// The ledger cannot be written.
    pub fn detach(&mut self) -> Result<()> {
        let lock = Lock::wait(&self.repo.orch_dir().join("lock"))?;
        let hold = Hold::begin(&self.repo, lock, &self.name, self.truth())?;
        self.refresh()?;
        let old = self.snapshot.tip;
        let intent = self.intent(Actor::Human, Op::Authority(LOCAL.to_owned()));
        let matters = [Matter {
            intent,
            outcome: None,
        }];
        let decided = self.decide_all(&matters)?;
        if let Some(new) = self.snapshot.tip.filter(|new| Some(*new) != old) {
            let message = decided.message();
            let swap = self
                .repo
                .swap_alone(hold.lock(), &self.name, old, new, &message)?;
            if swap == Swap::Lost {
                self.refresh()?;
                return Err(UserError::new("the ledger was moved in this moment")
                    .hint("git orch remote set local")
                    .into());
            }
        }
        // Whatever the remote had or was asked says nothing about this ledger any more.
        forget_asking(&self.repo);
        if let Some(seen) = self.repo.read_ref(SEEN)? {
            // One that stays is not looked at, and goes with the next time.
            let _ = self
                .repo
                .swap_refs(&[(SEEN, Some(seen), None)], "orch: on its own");
        }
        hold.pass_on(&self.repo, &self.name)
    }
}

/// The file that says which remote is being asked to take the ledger.
fn asking(repo: &Repo) -> PathBuf {
    repo.orch_dir().join("publishing")
}

/// Returns the remote that was asked to take the ledger by somebody who did not hear what came of it.
fn asked(repo: &Repo) -> Result<Option<String>> {
    let bytes = files::read_if_exists(&asking(repo))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn forget_asking(repo: &Repo) {
    // One that stays is found settled by the next holder.
    let _ = std::fs::remove_file(asking(repo));
}

fn interrupted(remote: &str, error: anyhow::Error) -> anyhow::Error {
    let why = user_error(&error).map_or_else(|| format!("{error:#}"), |user| user.message.clone());
    error.context(
        UserError::new(format!(
            "`git orch remote set {remote}` was interrupted, so it is not known whether {remote} has taken the ledger: \
             {why}"
        ))
        .hint(format!("git orch remote set {remote}"))
        .hint("git orch remote set local"),
    )
}
