//! Whose lease has run out, decided from what one observer has seen (docs/decisions/leases.md).
//!
//! Wall clocks never matter: an observer counts, on its own monotonic clock, for how long it has seen a
//! machine's lease unmoved. A time in which it could not look counts for little, so that an outage of the
//! remote, in which nobody could renew, takes no claim from anyone.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::board::Board;
use super::ids::{Attempt, MachineId, OpId, TaskId};
use super::op::Claim;

/// What an observer remembers of the claims it has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sightings(BTreeMap<TaskId, Sighting>);

/// One claim, and for how long it was seen without a sign of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sighting {
    attempt: Attempt,
    /// The last word about the task.
    op: Option<OpId>,
    /// The lease of its machine: any text that differs after each renewal.
    lease: Option<String>,
    /// For how long all of this was seen unchanged.
    unmoved: Duration,
    /// When it was last looked at, on the observer's clock.
    last: Duration,
}

/// A claim whose machine has not renewed its lease for the whole time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// The claim.
    pub claim: Claim,
    /// Its machine.
    pub machine: Option<MachineId>,
    /// For how long its lease was seen unmoved.
    pub unmoved: Duration,
}

impl Sightings {
    /// Takes in what the observer sees at a moment of its clock, and returns the claims that may be taken over.
    ///
    /// Between two looks at most a third of the lease is counted: whoever is alive renews that often.
    pub fn look(
        &mut self,
        board: &Board,
        leases: &BTreeMap<MachineId, String>,
        now: Duration,
    ) -> Vec<Expired> {
        let lease = board.run().lease;
        let mut seen = BTreeMap::new();
        let mut expired = Vec::new();
        for task in board.tasks.like(|task| task.state.is_held()) {
            let status = &task.status;
            let Some(agent) = status.agent else {
                continue;
            };
            let of_machine = status.machine.as_ref();
            let current = of_machine.and_then(|machine| leases.get(machine)).cloned();
            let before = self.0.remove(&task.id).filter(|before| {
                before.attempt == status.attempt
                    && before.op == status.op
                    && before.lease == current
                    && before.last <= now
                    // Nobody has watched for longer than their clock runs.
                    && before.unmoved <= before.last
            });
            let unmoved = before.map_or(Duration::ZERO, |before| {
                before.unmoved + (now - before.last).min(lease / 3)
            });
            if unmoved >= lease {
                expired.push(Expired {
                    claim: Claim {
                        task: task.id.clone(),
                        agent,
                        attempt: status.attempt,
                    },
                    machine: status.machine.clone(),
                    unmoved,
                });
            }
            let sighting = Sighting {
                attempt: status.attempt,
                op: status.op.clone(),
                lease: current,
                unmoved,
                last: now,
            };
            seen.insert(task.id.clone(), sighting);
        }
        self.0 = seen;
        expired
    }

    /// Returns for how long a claim was seen without a sign of life.
    pub fn unmoved(&self, task: &TaskId) -> Option<Duration> {
        self.0.get(task).map(|sighting| sighting.unmoved)
    }
}

#[cfg(test)]
mod tests;
