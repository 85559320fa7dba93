//! Keeping in step with a remote: one round of give and take, and how a ledger gets to a remote or from it.

use anyhow::Result;

use super::Ledger;
use super::hold::{self, Hold, SEEN, Truth};
use super::pre_push::{self, HookAnswer, Outgoing};
use super::transport::Lease;
use crate::config;
use crate::error::UserError;
use crate::git::files::Lock;
use crate::git::{Oid, Repo};
use crate::model::lease::Expired;
use crate::model::{Actor, Refusal};

/// What one round has done.
#[derive(Debug, Default)]
pub struct Synced {
    /// The remote; `None` where the ledger is its own truth.
    pub remote: Option<String>,
    /// Transitions that came in.
    pub received: usize,
    /// Whether commits made by hand went up.
    pub sent: bool,
    /// Branches of ours that went up.
    pub branches: Vec<String>,
    /// Why others did not, a line each.
    pub kept_back: Vec<String>,
    /// Whether this machine's lease was renewed.
    pub renewed: bool,
    /// Claims whose lease had run out, and what came of taking them over.
    pub expired: Vec<(Expired, Result<(), Refusal>)>,
}

/// What a round does besides fetching the ledger.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Exchange branches, and look whose lease has run out.
    pub work: bool,
    /// Renew this machine's lease, if it holds claims.
    pub renew: bool,
}

impl Ledger {
    /// Does one round: ledger, branches, leases.
    ///
    /// # Errors
    ///
    /// The remote cannot be reached ([`super::Unreachable`]), or its ledger is not one that ours may follow.
    pub fn sync(&mut self) -> Result<Synced> {
        let renew = self.remote().is_some();
        self.round(Round { work: true, renew })
    }

    /// Does one round: the ledger, and what is asked for besides.
    ///
    /// # Errors
    ///
    /// As [`Ledger::sync`].
    pub fn round(&mut self, round: Round) -> Result<Synced> {
        let before = self.tip();
        let mut synced = Synced {
            remote: self.remote(),
            ..Synced::default()
        };
        if self.remote().is_some() {
            synced.sent = self.sync_ledger()?;
            if round.work {
                self.fetch_work()?;
            }
            self.refresh()?;
            synced.received = self.count_since(before)?;
            if round.work {
                (synced.branches, synced.kept_back) = self.push_integrated()?;
            }
        } else {
            self.refresh()?;
        }
        if round.renew && self.holds_claims() {
            self.renew_lease()?;
            synced.renewed = true;
        }
        if round.work {
            synced.expired = self.expire_claims(self.actor)?;
        }
        Ok(synced)
    }

    /// Reads what others have written since, at the remote where that has the truth: for whoever is about to
    /// say no.
    ///
    /// # Errors
    ///
    /// As [`Ledger::sync`].
    pub fn catch_up(&mut self) -> Result<()> {
        if self.remote().is_some() {
            self.sync_ledger()?;
        }
        self.refresh()
    }

    /// Fetches the remote's ledger, and pushes commits that were made by hand.
    fn sync_ledger(&mut self) -> Result<bool> {
        let lock = Lock::wait(&self.repo.orch_dir().join("lock"))?;
        let hold = self.take_over(lock)?;
        let remote = self.require_remote()?;
        let ahead = self.fetch_ledger(&hold, &remote)?;
        if ahead {
            let (seen, ours) = (self.repo.read_ref(SEEN)?, self.repo.read_ref(&self.name)?);
            // What cannot be read must not go up: everybody else would stop.
            self.refresh()?;
            if let Some(ours) = ours {
                match self.push(&remote, Lease::BuildsOn(seen), ours, &[])? {
                    None => self.move_ref(&hold, SEEN, ours, "push", |_| Ok(true))?,
                    Some(complaint) => {
                        return Err(UserError::new(format!(
                            "commits made by hand on branch {} did not get to {remote}: {complaint}",
                            self.branch()
                        ))
                        .hint("git orch sync")
                        .into());
                    }
                }
            }
        }
        hold.pass_on(&self.repo, &self.name)?;
        Ok(ahead)
    }

    /// Returns how many commits the ledger has gained.
    fn count_since(&self, before: Option<Oid>) -> Result<usize> {
        let mut count = 0;
        for entry in self.history() {
            if Some(entry?.commit) == before {
                break;
            }
            count += 1;
        }
        Ok(count)
    }

    /// Pushes the integrated branches where the remote's are behind, and returns which, and why others were not: the
    /// user's `pre-push` hook does not let them. None without a remote.
    ///
    /// # Errors
    ///
    /// The remote cannot be reached ([`super::Unreachable`]).
    pub fn push_integrated(&self) -> Result<(Vec<String>, Vec<String>)> {
        if self.remote().is_none() {
            return Ok((Vec::new(), Vec::new()));
        }
        let remote = self.require_remote()?;
        let teams = self.board().teams.keys();
        let mut branches = vec![String::from("orch/integration")];
        branches.extend(teams.map(|team| format!("orch/team-{team}/integration")));
        let (mut pushed, mut kept_back) = (Vec::new(), Vec::new());
        for branch in branches {
            let full = format!("refs/heads/{branch}");
            let Some(ours) = self.repo.read_ref(&full)? else {
                continue;
            };
            let theirs = self.fetched_tip(&full)?;
            let behind = match theirs {
                Some(theirs) => theirs != ours && self.repo.is_ancestor(theirs, ours)?,
                None => true,
            };
            if !behind {
                continue;
            }
            let going = Outgoing {
                branch: full.clone(),
                commit: ours,
            };
            // Told once; whatever goes round here all the time does not ask all the time.
            if pre_push::said_of(&self.repo, &going) == Some(false) {
                continue;
            }
            match self.ask_before_push(&[going]) {
                Ok(HookAnswer::Agreed | HookAnswer::NotAsked(_)) => {
                    self.push_forward(&remote, ours, &full)?;
                    pushed.push(branch);
                }
                Ok(HookAnswer::Refused(refusal)) => kept_back.push(refusal.reason),
                Err(error) => kept_back.push(format!("{error:#}")),
            }
        }
        Ok((pushed, kept_back))
    }

    /// Asks a remote whether it has a ledger; `None` where it does not answer.
    ///
    /// # Errors
    ///
    /// Git cannot be run.
    pub fn is_at(repo: &Repo, remote: &str) -> Result<Option<bool>> {
        let listed = Self::closed(repo.reopen()?, Actor::Human).list(remote)?;
        Ok(listed.map(|listed| !listed.is_empty()))
    }

    /// Takes a remote's ledger into a clone that has none; returns whether the remote has one.
    ///
    /// # Errors
    ///
    /// The remote cannot be reached, or the repository cannot be written.
    pub fn join(repo: &Repo, remote: &str) -> Result<bool> {
        let ledger = Self::closed(repo.reopen()?, Actor::Human);
        ledger.require_known(remote)?;
        let lock = Lock::wait(&repo.orch_dir().join("lock"))?;
        let hold = Hold::begin(repo, lock, &ledger.name, Truth::AtRemote)?;
        let Some(theirs) = ledger.fetch_only(remote)? else {
            return Ok(false);
        };
        // Somebody else may have done it in this moment.
        if repo.read_ref(&ledger.name)?.is_none() {
            ledger.move_to(&hold, theirs, "join")?;
        }
        hold.pass_on(repo, &ledger.name)?;
        Ok(true)
    }

    /// Takes back what [`Ledger::join`] has done.
    ///
    /// # Errors
    ///
    /// A ref cannot be read or deleted.
    pub fn unjoin(repo: &Repo) -> Result<()> {
        let name = config::ledger_ref(repo);
        let lock = Lock::wait(&repo.orch_dir().join("lock"))?;
        for name in [name.as_str(), SEEN] {
            if let Some(tip) = repo.read_ref(name)? {
                repo.swap_refs(&[(name, Some(tip), None)], "not joined")?;
            }
        }
        lock.clear_note()
    }

    /// Returns the refs that this clone moves by itself, under the ledger's lock.
    pub fn refs_moved_alone(ledger: &str) -> [&str; 2] {
        [ledger, SEEN]
    }

    /// Takes the ledger's branch as it stands, after a person has looked: what was left before is forgotten.
    ///
    /// # Errors
    ///
    /// The lock cannot be taken.
    pub fn accept(repo: &Repo) -> Result<()> {
        hold::accept(repo, &config::ledger_ref(repo))
    }
}
