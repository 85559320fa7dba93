//! What is looked for in the history, and by which keys the index finds it.

use regex::Regex;

use crate::model::event::Told;
use crate::model::{AgentId, TaskId, TeamId};

/// What is looked for; all conditions must hold. The default asks for everything.
///
/// An answer may hold events that were not asked for (those not indexed yet, and those that share a key with
/// one that was), but leaves none out.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// An event must have one key of every group.
    groups: Vec<Vec<u32>>,
    grep: Option<Regex>,
}

/// Conditions beyond which the index finds too much; more than there are sorts of them.
const MOST_GROUPS: usize = 32;

impl Query {
    /// Asks for events tagged with a team.
    #[must_use]
    pub fn team(self, team: TeamId) -> Self {
        self.with(vec![team_key(team)])
    }

    /// Asks for events tagged with an agent.
    #[must_use]
    pub fn agent(self, agent: AgentId) -> Self {
        self.with(vec![agent_key(agent)])
    }

    /// Asks for events about a task.
    #[must_use]
    pub fn task(self, task: &TaskId) -> Self {
        self.with(vec![key(Sort::Task, task.as_str().as_bytes())])
    }

    /// Asks for events of any of some kinds.
    #[must_use]
    pub fn kinds<'a>(self, kinds: impl Iterator<Item = &'a str>) -> Self {
        self.with(kinds.map(|kind| key(Sort::Kind, kind.as_bytes())).collect())
    }

    /// Asks for calls for help.
    #[must_use]
    pub fn escalations(self) -> Self {
        self.with(vec![key(Sort::Escalation, b"")])
    }

    /// Asks for events whose subject or body matches.
    #[must_use]
    pub fn grep(mut self, pattern: Regex) -> Self {
        self.grep = Some(pattern);
        self
    }

    fn with(mut self, group: Vec<u32>) -> Self {
        if self.groups.len() < MOST_GROUPS {
            self.groups.push(group);
        }
        self
    }

    /// Returns whether events can be told apart by their keys alone.
    pub(super) fn has_keys(&self) -> bool {
        !self.groups.is_empty()
    }

    /// Returns the groups that some keys of an event satisfy, a bit each.
    pub(super) fn satisfied(&self, keys: &[u32]) -> u32 {
        let mut found = 0;
        for (bit, group) in self.groups.iter().enumerate() {
            let any = keys.iter().any(|key| group.contains(key));
            found |= u32::from(any) << bit;
        }
        found
    }

    /// Returns whether these are all groups.
    pub(super) fn is_met(&self, satisfied: u32) -> bool {
        satisfied.count_ones() as usize == self.groups.len()
    }

    /// Returns whether the text of an event is what is looked for.
    pub(super) fn matches(&self, subject: &str, body: &str) -> bool {
        let matches = |grep: &Regex| grep.is_match(subject) || grep.is_match(body);
        self.grep.as_ref().is_none_or(matches)
    }
}

/// What a key stands for.
#[derive(Debug, Clone, Copy)]
enum Sort {
    Team = 1,
    Agent,
    Task,
    Kind,
    Escalation,
}

/// Collects the keys by which an event is found.
pub(super) fn keys(told: &Told, keys: &mut Vec<u32>) {
    keys.push(key(Sort::Kind, told.kind().as_bytes()));
    keys.extend(told.teams().into_iter().map(team_key));
    keys.extend(told.agents().into_iter().map(agent_key));
    keys.extend(told.all("Task").map(|id| key(Sort::Task, id.as_bytes())));
    if told.escalates() {
        keys.push(key(Sort::Escalation, b""));
    }
}

fn team_key(team: TeamId) -> u32 {
    key(Sort::Team, &team.0.to_le_bytes())
}

fn agent_key(agent: AgentId) -> u32 {
    let id = u64::from(agent.team.0) << 32 | u64::from(agent.number);
    key(Sort::Agent, &id.to_le_bytes())
}

/// Two things may share a key; no thing has key 0, which stands for "none".
fn key(sort: Sort, bytes: &[u8]) -> u32 {
    super::check::check(sort as u64, bytes).max(1)
}
