//! The queue: what is ready, who holds what since when, and what the rest waits for.
//!
//! Ages are differences between the ledger's own times and the wall clock: for people to read, and nothing is
//! decided by them. Whether a claim has expired is what this machine has seen of its lease.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::throughput::Throughput;
use crate::clock;
use crate::model::lease::{Expired, Sightings};
use crate::model::{
    AgentId, Board, Gate, MachineId, PhaseName, PhaseState, State, Task, TaskId, TeamId, Timestamp,
    Wish,
};

/// What was seen of the leases.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// For how long each claim's lease was seen unmoved.
    pub sightings: Sightings,
    /// Claims that may be taken over.
    pub expired: Vec<Expired>,
}

impl Seen {
    /// Returns whether a task's claim may be taken over.
    fn is_expired(&self, task: &TaskId) -> bool {
        self.expired
            .iter()
            .any(|expired| expired.claim.task == *task)
    }
}

/// Numbers of tasks, of one team or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// May be claimed.
    pub ready: usize,
    /// Held by an agent.
    pub active: usize,
    /// Of those, waiting for something.
    pub blocked: usize,
    /// Of those held, seen without a sign of life for the whole lease.
    pub expired: usize,
    /// May not be claimed yet.
    pub waiting: usize,
    /// On what that hangs.
    pub waiting_on: Waits,
    /// The last attempt failed; `dispatch` decides what becomes of it.
    pub failed: usize,
    /// Given up after their retries.
    pub gap: usize,
    /// Handed in, and not merged yet.
    pub submitted: usize,
    /// In the integration branch.
    pub merged: usize,
    /// Not wanted any more.
    pub cancelled: usize,
    /// For how long the oldest ready task has been ready, in seconds.
    pub oldest_ready_seconds: Option<i64>,
}

/// Numbers of pending tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Waits {
    /// On a task that comes before.
    pub dependency: usize,
    /// On a phase that is not open.
    pub phase: usize,
    /// On the next `dispatch` only.
    pub dispatch: usize,
}

/// One team's numbers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TeamCounts<'a> {
    /// Its number.
    pub team: TeamId,
    /// Its name.
    pub name: &'a str,
    /// Its numbers.
    #[serde(flatten)]
    pub counts: Counts,
}

/// One machine's numbers.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MachineCounts {
    /// Its name; none where claims say none.
    pub machine: Option<MachineId>,
    /// Tasks that its agents hold.
    pub active: usize,
    /// Of those, expired.
    pub expired: usize,
}

/// `queue stats`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Stats<'a> {
    /// Name of the run.
    pub run: &'a str,
    /// Numbers of all teams that were asked for.
    #[serde(flatten)]
    pub total: Counts,
    /// Numbers by team.
    pub teams: Vec<TeamCounts<'a>>,
    /// Held tasks by machine.
    pub machines: Vec<MachineCounts>,
    /// How fast tasks are claimed and handed in.
    pub per_hour: Throughput,
}

impl<'a> Stats<'a> {
    /// Counts the tasks of some teams, of all where none is named.
    pub fn new(
        board: &'a Board,
        teams: &[TeamId],
        seen: &Seen,
        per_hour: Throughput,
        now: Timestamp,
    ) -> Self {
        let states = board.phase_states(Gate::default());
        let mut total = Counts::default();
        let mut by_team: BTreeMap<TeamId, Counts> = BTreeMap::new();
        let mut by_machine: BTreeMap<Option<MachineId>, (usize, usize)> = BTreeMap::new();
        by_team.extend(asked(board, teams).map(|team| (team, Counts::default())));
        for task in tasks_of(board, teams) {
            let expired = seen.is_expired(&task.id);
            let on = Waiting::of(board, task, &states).map(|waiting| waiting.on);
            let age = now.0 - task.status.since.0;
            for counts in [&mut total, by_team.entry(task.team).or_default()] {
                counts.add(task.status.state, on, expired, age);
            }
            if task.status.state.is_held() {
                let of_machine = by_machine.entry(task.status.machine.clone()).or_default();
                of_machine.0 += 1;
                of_machine.1 += usize::from(expired);
            }
        }
        Self {
            run: board.run_name(),
            total,
            teams: by_team
                .into_iter()
                .map(|(team, counts)| TeamCounts {
                    team,
                    name: board.teams.get(&team).map_or("", |spec| spec.name.as_str()),
                    counts,
                })
                .collect(),
            machines: by_machine
                .into_iter()
                .map(|(machine, (active, expired))| MachineCounts {
                    machine,
                    active,
                    expired,
                })
                .collect(),
            per_hour,
        }
    }
}

impl Counts {
    fn add(&mut self, state: State, on: Option<On>, expired: bool, age: i64) {
        let number = match state {
            State::Pending => &mut self.waiting,
            State::Ready => {
                let age = age.max(0);
                let oldest = self.oldest_ready_seconds.unwrap_or(0).max(age);
                self.oldest_ready_seconds = Some(oldest);
                &mut self.ready
            }
            State::Claimed | State::InProgress => &mut self.active,
            State::Blocked => {
                self.blocked += 1;
                &mut self.active
            }
            State::Submitted | State::Accepted => &mut self.submitted,
            State::Merged => &mut self.merged,
            State::Failed => &mut self.failed,
            State::Gap => &mut self.gap,
            State::Cancelled => &mut self.cancelled,
        };
        *number += 1;
        self.expired += usize::from(expired && state.is_held());
        match on {
            Some(On::Dependency) => self.waiting_on.dependency += 1,
            Some(On::Phase) => self.waiting_on.phase += 1,
            Some(On::Dispatch) => self.waiting_on.dispatch += 1,
            None => {}
        }
    }
}

/// `queue active`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Active<'a> {
    /// Name of the run.
    pub run: &'a str,
    /// Tasks that are held, longest first.
    pub active: Vec<Held<'a>>,
    /// Of those, what may be taken over.
    pub expired: Vec<&'a TaskId>,
    /// The next tasks, in the order in which they would be taken.
    pub ready: Vec<Ready<'a>>,
    /// Number of all that are ready.
    pub ready_total: usize,
    /// Tasks that may not be claimed yet, in the plan's order.
    pub waiting: Vec<Waiting<'a>>,
    /// Number of all that wait.
    pub waiting_total: usize,
}

/// A held task.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Held<'a> {
    /// The task.
    pub task: &'a TaskId,
    /// Its team.
    pub team: TeamId,
    /// What is to be done.
    pub title: &'a str,
    /// Its state.
    pub state: State,
    /// Who holds it.
    pub agent: Option<AgentId>,
    /// On which machine.
    pub machine: Option<&'a MachineId>,
    /// The claim's number.
    pub attempt: u32,
    /// When its state was entered, RFC 3339.
    pub since: String,
    /// How long ago that was.
    pub seconds: i64,
    /// Until when the claim said it would hold, RFC 3339; renewals are seen by the lease alone.
    pub lease_until: Option<String>,
    /// For how long its lease was seen unmoved from here.
    pub unmoved_seconds: u64,
    /// Whether it may be taken over.
    pub expired: bool,
    /// What it is blocked on.
    pub reason: Option<&'a str>,
}

/// A ready task.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Ready<'a> {
    /// The task.
    pub task: &'a TaskId,
    /// Its team.
    pub team: TeamId,
    /// What is to be done.
    pub title: &'a str,
    /// Who would get it now.
    pub agent: Option<AgentId>,
    /// Why nobody would, in words.
    pub why: Option<String>,
    /// How long it has been ready.
    pub seconds: i64,
}

/// What a pending task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// A task that comes before.
    Dependency,
    /// A phase that is not open.
    Phase,
    /// Nothing but the next `dispatch`.
    Dispatch,
}

/// A pending task.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Waiting<'a> {
    /// The task.
    pub task: &'a TaskId,
    /// Its team.
    pub team: TeamId,
    /// What is to be done.
    pub title: &'a str,
    /// What kind of thing it waits for.
    pub on: On,
    /// The task that it waits for.
    pub dependency: Option<&'a TaskId>,
    /// State of that task; none where it does not exist.
    pub state: Option<State>,
    /// The phase that it waits for.
    pub phase: Option<&'a PhaseName>,
}

impl<'a> Waiting<'a> {
    /// Returns what a task waits for, if it is pending.
    fn of(board: &'a Board, task: &'a Task, states: &[PhaseState]) -> Option<Self> {
        if task.status.state != State::Pending {
            return None;
        }
        let dependency = board.waits_for(task).map(|(other, _)| other);
        let closed = !board.may_start_phase(task, states);
        Some(Self {
            task: &task.id,
            team: task.team,
            title: &task.title,
            on: match (dependency, closed) {
                (Some(_), _) => On::Dependency,
                (None, true) => On::Phase,
                (None, false) => On::Dispatch,
            },
            dependency,
            state: dependency
                .and_then(|id| board.tasks.get(id))
                .map(|other| other.status.state),
            phase: board
                .phase_of(task)
                .filter(|_| closed)
                .map(|phase| &phase.name),
        })
    }
}

impl<'a> Active<'a> {
    /// Lists the tasks of some teams, of all where none is named; of what is ready or waits, at most so many.
    pub fn new(
        board: &'a Board,
        teams: &[TeamId],
        seen: &Seen,
        most: usize,
        now: Timestamp,
    ) -> Self {
        let mut held: Vec<&Task> = tasks_of(board, teams)
            .filter(|task| task.status.state.is_held())
            .collect();
        held.sort_by_key(|task| (task.status.since, task.order));
        let states = board.phase_states(Gate::default());
        let mut pending: Vec<&Task> = tasks_of(board, teams)
            .filter(|task| task.status.state == State::Pending)
            .collect();
        pending.sort_by_key(|task| task.order);
        let ready_total = tasks_of(board, teams)
            .filter(|task| task.status.state == State::Ready)
            .count();
        let active: Vec<Held<'a>> = held.into_iter().map(|task| row(task, seen, now)).collect();
        Self {
            run: board.run_name(),
            expired: active
                .iter()
                .filter(|held| held.expired)
                .map(|held| held.task)
                .collect(),
            active,
            ready: next(board, teams, most, now),
            ready_total,
            waiting_total: pending.len(),
            waiting: pending
                .into_iter()
                .take(most)
                .filter_map(|task| Waiting::of(board, task, &states))
                .collect(),
        }
    }
}

fn row<'a>(task: &'a Task, seen: &Seen, now: Timestamp) -> Held<'a> {
    let status = &task.status;
    Held {
        task: &task.id,
        team: task.team,
        title: &task.title,
        state: status.state,
        agent: status.agent,
        machine: status.machine.as_ref(),
        attempt: status.attempt.0,
        since: clock::rfc3339(status.since),
        seconds: (now.0 - status.since.0).max(0),
        lease_until: status.lease_until.map(clock::rfc3339),
        unmoved_seconds: seen.sightings.unmoved(&task.id).map_or(0, |t| t.as_secs()),
        expired: seen.is_expired(&task.id),
        reason: status
            .reason
            .as_deref()
            .filter(|_| status.state == State::Blocked),
    }
}

/// Returns the ready tasks in the order in which they would be taken: each is taken on a copy of the board, so
/// that the next one sees its coder at work.
fn next<'a>(board: &'a Board, teams: &[TeamId], most: usize, now: Timestamp) -> Vec<Ready<'a>> {
    let wish = Wish {
        teams: teams.to_vec(),
        ..Wish::default()
    };
    let mut taken = board.clone();
    let mut next = Vec::new();
    while next.len() < most
        && let Ok(choice) = taken.choose(&wish)
    {
        let (id, agent) = (choice.task.id.clone(), choice.agent);
        let Some((task, mut copy)) = board.tasks.get(&id).zip(taken.tasks.get_mut(&id)) else {
            break;
        };
        copy.status.state = State::Claimed;
        copy.status.agent = Some(agent);
        copy.status.attempt.0 += 1;
        next.push(ready(task, Some(agent), None, now));
    }
    // For the rest nobody is free; the first to be comes to the most urgent.
    let mut rest: Vec<&Task> = taken
        .tasks
        .values()
        .filter(|task| task.status.state == State::Ready && is_of(task, teams))
        .collect();
    rest.sort_by_key(|task| (-task.priority, task.order));
    for task in rest.into_iter().take(most - next.len()) {
        let wish = Wish {
            task: Some(task.id.clone()),
            ..Wish::default()
        };
        let why = taken.choose(&wish).err().map(|refusal| refusal.message);
        if let Some(task) = board.tasks.get(&task.id) {
            next.push(ready(task, None, why, now));
        }
    }
    next
}

fn ready(task: &Task, agent: Option<AgentId>, why: Option<String>, now: Timestamp) -> Ready<'_> {
    Ready {
        task: &task.id,
        team: task.team,
        title: &task.title,
        agent,
        why,
        seconds: (now.0 - task.status.since.0).max(0),
    }
}

fn tasks_of<'a>(board: &'a Board, teams: &[TeamId]) -> impl Iterator<Item = &'a Task> {
    board.tasks.values().filter(move |task| is_of(task, teams))
}

fn is_of(task: &Task, teams: &[TeamId]) -> bool {
    teams.is_empty() || teams.contains(&task.team)
}

fn asked<'a>(board: &'a Board, teams: &[TeamId]) -> impl Iterator<Item = TeamId> + 'a {
    let teams = teams.to_vec();
    let known = board.teams.keys().copied();
    known.filter(move |team| teams.is_empty() || teams.contains(team))
}

#[cfg(test)]
mod tests;
