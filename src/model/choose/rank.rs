//! The order in which tasks and coders come first.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::standing::{Crew, Match, Standing};
use crate::model::board::Task;
use crate::model::ids::{AgentId, TaskId, Timestamp};
use crate::model::spec::Coupling;
use crate::model::tasks::{Glance, Seen};

/// Conflicts that a coder gets to resolve itself before another one is preferred (docs/decisions/merging.md).
const OWN_CONFLICTS: u32 = 2;

/// What an agent has to do with a task already; least is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Affinity {
    /// It gave the task back, or its work was sent back: its worktree and branch are warm.
    Warm,
    /// Nothing.
    None,
    /// Its attempt failed, or its work did not merge again and again.
    Failed,
}

impl Affinity {
    /// Reads it off the status. Work that was sent back once and failed afterwards passes for sent back,
    /// since the submitted head stays on record.
    pub(super) fn to(task: &Task, agent: AgentId) -> Self {
        let status = &task.status;
        if status.agent != Some(agent) || status.attempt.0 == 0 {
            Self::None
        } else if status.failures > 0 && status.head.is_none() || status.conflicts > OWN_CONFLICTS {
            Self::Failed
        } else if status.takeovers > 0 {
            // Its machine was lost, and the warm worktree with it.
            Self::None
        } else {
            Self::Warm
        }
    }
}

/// How well an agent suits a task; least is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Suit {
    pub(super) in_trouble: bool,
    pub(super) missing: usize,
    pub(super) had: Reverse<usize>,
    pub(super) affinity: Affinity,
}

/// What a task's place depends on before anything that must be looked up; least goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    /// A free coder suits it better than the agent that asks.
    pub(super) elsewhere: bool,
    pub(super) priority: Reverse<i32>,
    pub(super) load: u64,
    pub(super) served: Timestamp,
    pub(super) turns: u64,
}

impl Turn {
    /// Returns the turn of a task that suits nobody else better.
    pub(super) fn of(crew: Option<&Crew<'_>>, task: &Glance) -> Self {
        Self {
            elsewhere: false,
            priority: Reverse(task.priority),
            load: crew.map_or(0, |crew| crew.load),
            served: crew.map_or_else(Timestamp::default, |crew| crew.served),
            turns: crew.map_or(0, |crew| crew.turns),
        }
    }
}

/// The place of a task among all that are ready; least goes first, equals in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) turn: Turn,
    pub(super) waits: Reverse<u32>,
    pub(super) suit: Suit,
    pub(super) order: u32,
}

/// A task that may be claimed, and by whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) seen: Seen<'a>,
    pub(super) found: Match,
    pub(super) turn: Turn,
}

impl<'a> Candidate<'a> {
    pub(super) fn new(seen: Seen<'a>, found: Match, turn: Turn) -> Self {
        let elsewhere = found.better.is_some();
        Self {
            seen,
            found,
            turn: Turn { elsewhere, ..turn },
        }
    }

    pub(super) fn task(&self) -> &'a Task {
        self.seen.task()
    }

    pub(super) fn rank(&self, waits: u32) -> Rank {
        Rank {
            turn: self.turn,
            waits: Reverse(waits),
            suit: self.found.suit,
            order: self.seen.order,
        }
    }
}

/// How much a dependent counts: the more of a task it needs, the later it can start.
fn weight(coupling: Coupling) -> u32 {
    match coupling {
        Coupling::Tight => 3,
        Coupling::Medium => 2,
        Coupling::Loose => 1,
    }
}

/// Returns for each candidate how much waits for it: its pending dependents, weighted.
pub(super) fn waits(standing: &Standing<'_>, candidates: &[Candidate<'_>]) -> Vec<u32> {
    let mut found = vec![0; candidates.len()];
    if candidates.is_empty() || standing.waiting.is_empty() {
        return found;
    }
    let mut places: HashMap<&TaskId, usize> = HashMap::with_capacity(candidates.len());
    places.extend(
        candidates
            .iter()
            .enumerate()
            .map(|(i, c)| (&c.task().id, i)),
    );
    for dependency in standing.waiting.iter().flat_map(|seen| &seen.task().after) {
        if let Some(i) = places.get(&dependency.task) {
            found[*i] += weight(dependency.coupling);
        }
    }
    found
}
