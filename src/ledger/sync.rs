//! Keeping in step with a remote: one round of give and take, and how a ledger gets to a remote or from it.

use anyhow::Result;

use super::Ledger;
use super::hold::{self, Hold};
use super::remote::{FETCHED, SEEN};
use super::transact::Matter;
use crate::config;
use crate::error::UserError;
use crate::git::files::Lock;
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};
use crate::model::board::LOCAL;
use crate::model::lease::Expired;
use crate::model::{Actor, Op, Refusal};

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
                synced.branches = self.push_integrated()?;
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
        let hold = Hold::begin(&self.repo, lock, &self.name)?;
        let remote = self.require_remote()?;
        let ahead = self.fetch_ledger(&hold, &remote)?;
        if ahead {
            let (seen, ours) = (self.repo.read_ref(SEEN)?, self.repo.read_ref(&self.name)?);
            // What cannot be read must not go up: everybody else would stop.
            self.refresh()?;
            if let Some(ours) = ours {
                match self.push(&remote, seen, ours, &[])? {
                    None => {
                        self.repo
                            .swap_alone(hold.lock(), SEEN, seen, ours, "push")?;
                    }
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

    /// Pushes the integrated branches where the remote's are behind, and returns which; none without a remote.
    ///
    /// # Errors
    ///
    /// The remote cannot be reached ([`super::Unreachable`]).
    pub fn push_integrated(&self) -> Result<Vec<String>> {
        if self.remote().is_none() {
            return Ok(Vec::new());
        }
        let remote = self.require_remote()?;
        let teams = self.board().teams.keys();
        let mut branches = vec![String::from("orch/integration")];
        branches.extend(teams.map(|team| format!("orch/team-{team}/integration")));
        let mut pushed = Vec::new();
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
            if behind {
                self.push_forward(&remote, ours, &full)?;
                pushed.push(branch);
            }
        }
        Ok(pushed)
    }

    /// Makes a remote's ledger the truth: ours goes there, unless there is one already that ours follows.
    ///
    /// # Errors
    ///
    /// There is no such remote, it cannot be reached, does not take the ledger or has another one.
    pub fn publish(&mut self, remote: &str) -> Result<()> {
        self.require_known(remote)?;
        match self.remote() {
            Some(now) if now != remote => {
                return Err(
                    UserError::new(format!("the ledger's truth is at the remote {now}"))
                        .hint("git orch remote set local")
                        .into(),
                );
            }
            _ => {}
        }
        let lock = Lock::wait(&self.repo.orch_dir().join("lock"))?;
        let hold = Hold::begin(&self.repo, lock, &self.name)?;
        let theirs = self.fetch_only(remote)?;
        self.refresh()?;
        if let (Some(theirs), Some(ours)) = (theirs, self.snapshot.tip)
            && hold::descends(&self.repo, ours, theirs)
        {
            // It got there before, and whoever sent it was killed before it was noted here.
            self.move_to(&hold, theirs, "publish")?;
            self.refresh()?;
        }
        let ours = self.snapshot.tip;
        if let (Some(theirs), Some(ours)) = (theirs, ours)
            && !hold::descends(&self.repo, theirs, ours)
        {
            return Err(UserError::new(format!(
                "remote {remote} has a ledger that does not belong to this one: it is at {theirs}"
            ))
            .hint("git orch init --undo && git orch init")
            .into());
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
        let complaint = match self.push(remote, theirs, new, &[]) {
            Ok(complaint) => complaint,
            Err(error) => {
                self.refresh()?;
                return Err(error);
            }
        };
        if let Some(complaint) = complaint {
            self.refresh()?;
            return Err(UserError::new(format!(
                "remote {remote} does not take the ledger: {complaint}"
            ))
            .hint(format!("git push {remote} {}", self.branch()))
            .into());
        }
        self.move_to(&hold, new, &decided.message())?;
        decided.settle(&mut matters);
        hold.pass_on(&self.repo, &self.name)?;
        self.refresh()
    }

    /// Makes this clone's ledger its own truth again. The remote and other clones hear nothing of it: from here
    /// on it goes its own way.
    ///
    /// # Errors
    ///
    /// The ledger cannot be written.
    pub fn detach(&mut self) -> Result<()> {
        let lock = Lock::wait(&self.repo.orch_dir().join("lock"))?;
        let hold = Hold::begin(&self.repo, lock, &self.name)?;
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
        hold.pass_on(&self.repo, &self.name)
    }

    /// Takes a remote's ledger into a clone that has none; returns whether the remote has one.
    ///
    /// # Errors
    ///
    /// The remote cannot be reached, or the repository cannot be written.
    pub fn join(repo: &Repo, remote: &str) -> Result<bool> {
        let ledger = Self::closed(repo.reopen()?, Actor::Human);
        ledger.require_known(remote)?;
        let Some(theirs) = ledger.fetch_only(remote)? else {
            return Ok(false);
        };
        let seen = repo.read_ref(SEEN)?;
        let swap = repo.swap_refs(
            &[
                (&config::ledger_ref(repo), None, Some(theirs)),
                (SEEN, seen, Some(theirs)),
            ],
            "join",
        )?;
        Ok(swap == Swap::Won)
    }

    /// Returns where git-orch or the remote has left the ledger, if it no longer builds on that.
    ///
    /// # Errors
    ///
    /// A ref cannot be read.
    pub fn lost_tip(repo: &Repo) -> Result<Option<Oid>> {
        hold::lost_tip(repo, &config::ledger_ref(repo))
    }

    /// Takes the ledger's branch as it stands, after a person has looked: what was left before is forgotten.
    ///
    /// # Errors
    ///
    /// The lock cannot be taken.
    pub fn accept(repo: &Repo) -> Result<()> {
        hold::accept(repo, &config::ledger_ref(repo))
    }

    /// Returns the remote's ledger as last accepted and as last fetched, for whoever must choose between them.
    ///
    /// # Errors
    ///
    /// A ref cannot be read.
    pub fn remote_tips(repo: &Repo) -> Result<(Option<Oid>, Option<Oid>)> {
        Ok((repo.read_ref(SEEN)?, repo.read_ref(FETCHED)?))
    }
}
