//! A remote whose ledger is the truth: fetched, and moved by pushes that state the old value.
//!
//! Nothing is reported before the remote has it. A push that failed is never judged by its message: the
//! remote's ledger is fetched, and what stands there decides. The local branch holds what the remote has had;
//! `refs/orch/remote/ledger` is the last of that. The branch moves first: killed in between, it is ahead of what
//! was seen, which any later fetch puts right, and never behind it; and what is pushed must build on what was seen.

use std::time::Duration;

use anyhow::Result;

use super::Ledger;
use super::hold::{Hold, SEEN, descends};
use super::pace::Pace;
use super::pre_push::{self, Outgoing};
use super::transact::{Decided, Done, Matter};
use super::transport::{HANDED_IN, Lease, Manner, Push, Unreachable, diverged};
use crate::clock;
use crate::error::{Exit, UserError};
use crate::git::Oid;
use crate::git::refs::Swap;
use crate::model::event::one_line;
use crate::model::{CommitId, Intent, Op, TeamId};

/// How long operations are tried against others that keep winning.
const DEADLINE: Duration = Duration::from_secs(60);

/// Failures in a row that nobody else's success explains before they are told.
const MOST_FAILURES: u32 = 4;

/// Failures in a row after which it is tried without replacing a branch.
const INSISTS: u32 = 2;

/// How long a lock of somebody else's on the ledger's branch is waited for.
const LOCKED_FOR: Duration = Duration::from_secs(5);

impl Ledger {
    /// Returns the branches that an operation takes along: a coder's with `submit`, the integrated ones with what
    /// moves them, so that nothing stays local.
    pub(super) fn pushes(&self, intent: &Intent, done: &Done) -> Result<Vec<Push>> {
        if self.remote().is_none() {
            return Ok(Vec::new());
        }
        let push = |commit: &CommitId, branch: &str, manner| {
            Ok::<_, anyhow::Error>(Push {
                commit: Oid::from_hex(commit.0.as_bytes())?,
                branch: format!("refs/heads/{branch}"),
                manner,
            })
        };
        let of_team = |team: TeamId| format!("orch/team-{team}/integration");
        let team = |task| self.board().tasks.get(task).map(|task| task.team);
        match &intent.op {
            Op::Submit(claim, head, _) => {
                let named = done.status.as_ref().and_then(|s| s.branch.clone());
                let task = self.board().require_task(&claim.task).ok();
                let branch = named.or_else(|| task.map(crate::model::Task::branch_name));
                let beside = format!("{HANDED_IN}{}/{}", claim.task, claim.attempt);
                let replaces = |branch: String| push(head, &branch, Manner::Replaces(beside));
                branch.map(replaces).into_iter().collect()
            }
            Op::Merge(task, _, commit) => {
                let integration = push(commit, "orch/integration", Manner::Forward);
                let team = team(task).map(|team| push(commit, &of_team(team), Manner::Follows));
                [integration].into_iter().chain(team).collect()
            }
            Op::Accept(task, _, commit) => {
                let team = team(task).map(|team| push(commit, &of_team(team), Manner::Forward));
                team.into_iter().collect()
            }
            // What is taken out by going back was never at the remote.
            Op::Undo(undone) if undone.reverted => {
                let push = push(&undone.tip, "orch/integration", Manner::Forward);
                push.map(|push| vec![push])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Decides matters and pushes what was decided, again after every lost race.
    pub(super) fn serve_remote(&mut self, hold: &Hold, matters: &mut [Matter]) -> Result<()> {
        let remote = self.require_remote()?;
        let begun = clock::monotonic();
        let mut fresh = hold.was_interrupted();
        let pace = Pace::load(&self.repo);
        // What was known before a pause is old after it, and a push on top of it lost beforehand.
        let mut old = pace.wait() || pace.is_stale();
        let (mut lost, mut failed, mut met) = (0, 0, 0);
        let mut before = None;
        loop {
            self.refresh()?;
            let seen = self.repo.read_ref(SEEN)?;
            if let Some(before) = before
                && seen != Some(before)
            {
                met = met.max(self.settle_told(before, matters)?);
            }
            before = seen;
            if seen.is_none() || (!fresh && old) {
                self.fetch_ledger(hold, &remote)?;
                (fresh, old) = (true, false);
                continue;
            }
            let mut decided = self.decide_all(matters)?;
            if self.snapshot.tip == self.repo.read_ref(&self.name)? {
                // A refusal may come of news that we have not heard.
                if decided.has_refusals() && !fresh {
                    self.fetch_ledger(hold, &remote)?;
                    fresh = true;
                    continue;
                }
                decided.settle(matters);
                return Ok(());
            }
            let Some(new) = self.snapshot.tip else {
                return Ok(());
            };
            if failed > 0 {
                let pushes = std::mem::take(&mut decided.pushes);
                decided.pushes = self.left_to_push(pushes, failed >= INSISTS)?;
            }
            self.require_unlocked()?;
            hold.enter(&self.repo, &self.name)?;
            let asked = clock::monotonic();
            let complaint = self.push(&remote, Lease::BuildsOn(seen), new, &decided.pushes)?;
            let took = clock::monotonic().duration_since(asked);
            let won = match complaint {
                None => true,
                // Nobody knows what a broken conversation has come to: the remote does.
                Some(_) => {
                    Pace::back_off(took, lost, failed);
                    self.fetched_has(hold, &remote, new)
                        .map_err(|error| broke_off(&remote, error))?
                }
            };
            if won {
                return self.won(hold, (new, took, lost.max(met)), decided, matters);
            }
            fresh = true;
            if self.repo.read_ref(SEEN)? == seen {
                failed += 1;
                if failed >= MOST_FAILURES {
                    return Err(refused(&remote, &complaint.unwrap_or_default()));
                }
                if !decided.pushes.is_empty() {
                    // It may be one of the branches that the remote does not take.
                    self.fetch_work()?;
                }
            } else {
                (lost, failed) = (lost + 1, 0);
            }
            if clock::monotonic().duration_since(begun) > DEADLINE {
                return Err(starved(&remote));
            }
        }
    }

    /// Takes in what the remote has taken: the commit, how long that took, and how many others were met.
    fn won(
        &mut self,
        hold: &Hold,
        (new, took, met): (Oid, Duration, u32),
        decided: Decided,
        matters: &mut [Matter],
    ) -> Result<()> {
        self.move_to(hold, new, &decided.message())?;
        let mut pace = Pace::load(&self.repo);
        pace.won(took, met);
        pace.save(&self.repo);
        self.snapshot.save_if_worth_it(&self.repo);
        self.note_verified(new);
        for Push { branch, commit, .. } in &decided.pushes {
            let (branch, commit) = (branch.clone(), *commit);
            pre_push::note(&self.repo, Outgoing { branch, commit }, true);
        }
        decided.settle(matters);
        Ok(())
    }

    /// Requires that the ledger's branch can be moved: nothing is pushed that could not be taken in here.
    pub(super) fn require_unlocked(&self) -> Result<()> {
        let lock = self.repo.common_dir().join(format!("{}.lock", self.name));
        let begun = clock::monotonic();
        while lock.exists() {
            if clock::monotonic().duration_since(begun) > LOCKED_FOR {
                return Err(self.locked(&self.name));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Moves one of our refs to a commit, waiting a while for whoever has locked it.
    ///
    /// # Errors
    ///
    /// It stays locked, or cannot be written. Where its value is not one that may be left, nothing has moved.
    pub(super) fn move_ref(
        &self,
        hold: &Hold,
        name: &str,
        new: Oid,
        message: &str,
        may_leave: impl Fn(Oid) -> Result<bool>,
    ) -> Result<()> {
        let begun = clock::monotonic();
        loop {
            let old = self.repo.read_ref(name)?;
            if let Some(old) = old
                && (old == new || !may_leave(old)?)
            {
                return Ok(());
            }
            if self.repo.swap_alone(hold.lock(), name, old, new, message)? == Swap::Won {
                return Ok(());
            }
            if clock::monotonic().duration_since(begun) > LOCKED_FOR {
                return Err(self.locked(name));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Fetches the remote's ledger and brings ours to it; returns whether it has a commit of ours that was
    /// pushed with an unknown result.
    fn fetched_has(&mut self, hold: &Hold, remote: &str, new: Oid) -> Result<bool> {
        let Some(fetched) = self.fetch_only(remote)? else {
            return Err(gone(remote, self.branch()));
        };
        if descends(&self.repo, new, fetched) {
            return Ok(true);
        }
        // The board holds what was decided in vain.
        self.refresh()?;
        self.take_in(hold, remote, fetched)?;
        Ok(false)
    }

    /// Moves our ledger to what the remote has now.
    pub(super) fn move_to(&self, hold: &Hold, new: Oid, message: &str) -> Result<()> {
        // A commit by hand in this moment stays: it is found ahead, or diverged, at the next fetch.
        let behind = |old| Ok(descends(&self.repo, old, new));
        self.move_ref(hold, &self.name, new, message, behind)?;
        // Anything later that the remote has is taken in with the next fetch, and so is this if it cannot be noted.
        let _ = self.move_ref(hold, SEEN, new, "push", |_| Ok(true));
        Ok(())
    }

    /// Fetches the remote's ledger and brings ours to it; returns whether ours has commits made by hand that
    /// the remote does not have.
    ///
    /// # Errors
    ///
    /// The remote cannot be reached ([`Unreachable`]), has no ledger any more, or has one that does not build
    /// on what we have seen of it.
    pub(super) fn fetch_ledger(&mut self, hold: &Hold, remote: &str) -> Result<bool> {
        match self.fetch_only(remote)? {
            Some(fetched) => self.take_in(hold, remote, fetched),
            None => Err(gone(remote, self.branch())),
        }
    }

    /// Brings our ledger to the remote's; returns whether ours has commits made by hand beyond it.
    fn take_in(&mut self, hold: &Hold, remote: &str, mut fetched: Oid) -> Result<bool> {
        let seen = self.repo.read_ref(SEEN)?;
        if let Some(seen) = seen
            && !self.goes_on(seen, fetched)?
        {
            // A fetch of a process that was killed may come to its end after ours, and bring what was before.
            fetched = match self.fetch_only(remote)? {
                Some(again) if self.goes_on(seen, again)? => again,
                Some(again) => return Err(rewritten(remote, seen, again)),
                None => return Err(gone(remote, self.branch())),
            };
        }
        let ours = self.repo.read_ref(&self.name)?;
        let is_ahead = ours.is_some_and(|ours| descends(&self.repo, fetched, ours));
        if !is_ahead {
            let behind = |old| match descends(&self.repo, old, fetched) {
                true => Ok(true),
                false => Err(diverged(self.branch(), remote, old, fetched)),
            };
            self.move_ref(hold, &self.name, fetched, "fetch", behind)?;
        }
        self.move_ref(hold, SEEN, fetched, "fetch", |_| Ok(true))?;
        self.refresh()?;
        Ok(is_ahead && ours != Some(fetched))
    }

    /// Returns whether what the remote has now goes on from what was seen there. A ledger of ours that a person has
    /// chosen over that, and that has got there, does as well.
    pub(super) fn goes_on(&self, seen: Oid, fetched: Oid) -> Result<bool> {
        if descends(&self.repo, seen, fetched) {
            return Ok(true);
        }
        let ours = self.repo.read_ref(&self.name)?;
        Ok(ours.is_some_and(|ours| {
            descends(&self.repo, ours, fetched) && !descends(&self.repo, ours, seen)
        }))
    }

    /// Tells that somebody keeps a ref of ours locked.
    pub(super) fn locked(&self, name: &str) -> anyhow::Error {
        let what = match name.strip_prefix("refs/heads/") {
            Some(branch) => format!("the ledger's branch {branch}"),
            None => format!("ref {name}"),
        };
        let lock = self.repo.common_dir().join(format!("{name}.lock"));
        UserError::new(format!("{what} is locked by someone else"))
            .hint(format!(
                "rm '{}' if no git process is running",
                lock.display()
            ))
            .into()
    }
}

/// Says what is not known, where a push ended without an answer and the remote cannot be asked.
fn broke_off(remote: &str, error: anyhow::Error) -> anyhow::Error {
    if !error.is::<Unreachable>() {
        return error;
    }
    error.context(
        UserError::new(format!(
            "remote {remote} cannot be reached any more, so it is not known whether it has taken this"
        ))
        .hint("git orch sync"),
    )
}

fn refused(remote: &str, complaint: &str) -> anyhow::Error {
    UserError::new(format!(
        "remote {remote} does not take the ledger: {}",
        one_line(complaint)
    ))
    .hint(format!("git ls-remote {remote}"))
    .into()
}

fn starved(remote: &str) -> anyhow::Error {
    UserError::new(format!(
        "others kept moving the ledger on {remote} for {} seconds",
        DEADLINE.as_secs()
    ))
    .hint("git orch sync")
    .exit(Exit::Lost)
    .into()
}

fn gone(remote: &str, branch: &str) -> anyhow::Error {
    UserError::new(format!(
        "remote {remote} has no ledger: it has no branch {branch}"
    ))
    .hint("git orch doctor")
    .into()
}

fn rewritten(remote: &str, seen: Oid, fetched: Oid) -> anyhow::Error {
    UserError::new(format!(
        "the ledger on {remote} was set back or rewritten: it is at {fetched}, which does not build on {seen}"
    ))
    .hint("git orch doctor")
    .into()
}
