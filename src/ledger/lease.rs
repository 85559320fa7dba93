//! Leases: a ref per machine without history, moved while it holds claims, and the watch over everybody's
//! (docs/decisions/leases.md).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Ledger;
use super::transport::LEASES;
use crate::error::UserError;
use crate::git::files::Lock;
use crate::git::objects::NewCommit;
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};
use crate::model::duration::format_duration;
use crate::model::identity::of_machine;
use crate::model::lease::{Expired, Sightings};
use crate::model::{Actor, Claim, MachineId, Op, Refusal, Timestamp};
use crate::{clock, config, seal};

/// How often a lock of somebody else's on the lease is tried.
const MOST_TRIES: usize = 100;

/// What the seal says of the file with what an observer remembers.
const WATCHED: &str = "watch";

/// The machines' leases in this repository.
const OWN: &str = "refs/orch/lease/";

/// What an observer remembers, and the start of the machine that its times count from.
#[derive(Default, Serialize, Deserialize)]
struct Watched {
    boot: Option<String>,
    sightings: Sightings,
}

/// Returns the file in which it is remembered what was seen of leases.
pub(super) fn watch_path(repo: &Repo) -> PathBuf {
    repo.orch_dir().join("watch")
}

/// Returns what was seen of leases; `None` where nothing is remembered under our seal.
fn watched(repo: &Repo) -> Result<Option<Watched>> {
    let bytes = seal::read(repo, &watch_path(repo), WATCHED)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Returns whether what is remembered of leases can be read.
pub(super) fn is_watch_readable(repo: &Repo) -> bool {
    watched(repo).is_ok_and(|watched| watched.is_some())
}

impl Ledger {
    /// Renews this machine's lease for a claim, and returns until when it holds then, for people to read.
    ///
    /// # Errors
    ///
    /// The claim does not hold, the ref cannot be written, or the remote cannot be reached.
    pub fn renew(&mut self, claim: &Claim) -> Result<Timestamp> {
        self.catch_up()?;
        self.board().holds(claim).map_err(UserError::from)?;
        self.renew_lease()
    }

    /// Returns whether this machine holds any claim.
    pub fn holds_claims(&self) -> bool {
        let mut held = self.board().tasks.like(|task| task.state.is_held());
        held.any(|task| task.status.machine.as_ref() == Some(&self.machine))
    }

    /// Renews the lease of all claims of this machine, and returns until when they hold, for people to read.
    ///
    /// The ref's commit has no parent: a thousand renewals leave nothing behind that `gc` does not take.
    ///
    /// # Errors
    ///
    /// The ref cannot be written, or the remote cannot be reached.
    pub fn renew_lease(&self) -> Result<Timestamp> {
        let now = clock::now();
        let lease = i64::try_from(self.board().run().lease.as_secs()).unwrap_or(i64::MAX);
        let until = Timestamp(now.0.saturating_add(lease));
        let name = format!("{OWN}{}", self.machine());
        let new = self.write_lease(now, until)?;
        let lock = Lock::wait(&self.repo().orch_dir().join("lease.lock"))?;
        for attempt in 0..MOST_TRIES {
            let old = self.repo().read_ref(&name)?;
            if self.repo().swap_alone(&lock, &name, old, new, "renew")? == Swap::Won {
                drop(lock);
                if self.remote().is_some() {
                    self.push_own(&self.require_remote()?, new, &name)?;
                }
                return Ok(until);
            }
            // Nobody else moves it: a git that packs refs holds it for a moment.
            if attempt == MOST_TRIES / 2 {
                self.repo().break_dead_lock(&name)?;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(self.locked(&name))
    }

    fn write_lease(&self, now: Timestamp, until: Timestamp) -> Result<Oid> {
        let who = (self.machine().to_string(), of_machine(self.machine()).1);
        let message = format!(
            "lease of {} until {}\n\nOrch-Machine: {}\nOrch-Id: {}\n",
            self.machine(),
            clock::rfc3339(until),
            self.machine(),
            clock::new_op_id()
        );
        self.repo().write_commit(&NewCommit {
            tree: self.repo().write_tree(b"")?,
            parents: &[],
            author: &who,
            committer: &who,
            time: now.0,
            message: &message,
        })
    }

    /// Looks at everybody's leases as last fetched, and returns the claims whose machine has been seen without
    /// a sign of life for the whole time.
    ///
    /// What was seen before is remembered across processes under the common Git directory; without it the
    /// watch begins anew, which only makes it longer.
    ///
    /// # Errors
    ///
    /// A ref cannot be read.
    pub fn watch_leases(&self) -> Result<Vec<Expired>> {
        self.look_at_leases().map(|(_, expired)| expired)
    }

    /// As [`Ledger::watch_leases`], and returns for how long each lease was seen unmoved as well.
    ///
    /// # Errors
    ///
    /// A ref cannot be read.
    pub fn look_at_leases(&self) -> Result<(Sightings, Vec<Expired>)> {
        let path = watch_path(self.repo());
        let boot = config::boot_id();
        let mut watched: Watched = watched(self.repo())?
            .filter(|watched: &Watched| watched.boot.is_some() && watched.boot == boot)
            .unwrap_or_default();
        let before = watched.sightings.clone();
        let leases = self.leases()?;
        let expired = watched
            .sightings
            .look(self.board(), &leases, clock::uptime());
        watched.boot = boot;
        if watched.sightings != before
            && let Ok(bytes) = serde_json::to_vec(&watched)
        {
            // Failing to write makes the watch longer and nothing worse.
            let _ = seal::replace(self.repo(), &path, WATCHED, bytes);
        }
        Ok((watched.sightings, expired))
    }

    /// Takes over the claims whose lease has run out; returns each with what came of it.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read or written.
    pub fn expire_claims(&mut self, actor: Actor) -> Result<Vec<(Expired, Result<(), Refusal>)>> {
        let expired = self.watch_leases()?;
        if expired.is_empty() {
            return Ok(Vec::new());
        }
        let intents = expired
            .iter()
            .map(|expired| {
                let machine = expired.machine.as_ref();
                let machine =
                    machine.map_or_else(|| String::from("its machine"), ToString::to_string);
                let reason = format!(
                    "{machine} has not renewed its lease for {}",
                    format_duration(expired.unmoved)
                );
                self.intent(actor, Op::Expire(expired.claim.clone(), reason))
            })
            .collect();
        let outcomes = self.carry_out(intents)?;
        self.refresh()?;
        let outcomes = outcomes.into_iter().map(|outcome| outcome.map(drop));
        Ok(expired.into_iter().zip(outcomes).collect())
    }

    /// Returns what each machine's lease says; a text that differs after each renewal.
    fn leases(&self) -> Result<BTreeMap<MachineId, String>> {
        let machines = self.board().tasks.like(|task| task.state.is_held());
        let mut leases = BTreeMap::new();
        for machine in machines.filter_map(|task| task.status.machine.clone()) {
            if leases.contains_key(&machine) {
                continue;
            }
            let place = match self.remote() {
                Some(_) if machine != self.machine => LEASES,
                _ => OWN,
            };
            if let Some(lease) = self.repo().read_ref(&format!("{place}{machine}"))? {
                leases.insert(machine, lease.to_string());
            }
        }
        Ok(leases)
    }
}
