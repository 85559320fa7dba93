//! Choosing work: which task goes to which coder next (B4, C2, C6, C7).
//!
//! The choice is made where a claim is decided, on the board that it is decided on, so that many who ask
//! at once get different tasks instead of racing for the best one. It depends on the board and the wish
//! alone, and two tasks never tie.
//!
//! A task can be chosen when it is ready (its phase is open and what it comes after is far enough: A5, B2),
//! its model tier has room in the wave over all machines (C2), and a coder may have it: one that holds
//! nothing and is not paused (C7, C8), and that has the role which the task names (C6). A role is a
//! requirement and waits for a busy coder, since the wrong role does the wrong work and an attempt ends by
//! its timeout; once all coders of the role are paused or blocked, or where there are none, the task is
//! open to the whole team, so that nothing waits for ever. Skills are a preference: a worse fit today beats
//! a better one some time.
//!
//! Among those the first is taken in this order:
//! 1. for one agent: what no free coder of its team suits better, so that it leaves such work to that coder
//!    as long as there is other work for it, and takes it rather than idling (C7);
//! 2. priority (B4);
//! 3. round robin among teams (B4): the fewest at work in proportion to its coders, then the team served
//!    longest ago, then the one with the fewest claims in proportion;
//! 4. how much waits for it (B2): its pending dependents, 3 for a tight one, 2 for a medium, 1 for a loose;
//! 5. a coder that has not just failed several times in a row (C7);
//! 6. fit (B4, C6): the fewest of its skills missing, then the most of them there;
//! 7. affinity (C7): what the coder gave back, or what was sent back to it, before what is new to it, before
//!    what failed under it;
//! 8. the plan's order.
//!
//! Where any coder will do, a task goes to the one that comes first by 5 to 7, then to the one that can do
//! least besides, then to the lowest number.

mod coders;
mod explain;
mod rank;
mod standing;

pub use explain::{Explanation, Other};

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::rank::{Candidate, Rank, Turn};
use self::standing::{Hurdle, Standing};
use super::apply::Refusal;
use super::board::{Board, Task};
use super::ids::{AgentId, CommitId, TaskId, TeamId, Timestamp};
use super::state::State;
use super::tasks::Seen;

/// What a claim may be for; what is left open is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wish {
    /// This task and no other.
    pub task: Option<TaskId>,
    /// For this agent; otherwise for any coder that is free.
    pub agent: Option<AgentId>,
    /// Of these teams only; of all where empty.
    pub teams: Vec<TeamId>,
    /// Only tasks that need none but these skills; `None` where any will do.
    pub skills: Option<Vec<String>>,
    /// None of these.
    pub not: BTreeSet<TaskId>,
}

impl Wish {
    /// Returns the wish of an agent for any task.
    pub fn of(agent: AgentId) -> Self {
        Self {
            agent: Some(agent),
            ..Self::default()
        }
    }
}

/// A claim as it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ask {
    /// What it may be for.
    pub wish: Wish,
    /// Until when the claim holds without renewal, for people to read.
    pub lease_until: Timestamp,
    /// Commits that the branches of these tasks are cut from.
    pub bases: BTreeMap<TaskId, CommitId>,
    /// Commits that the branch of any other task of a team is cut from, if it builds on nothing that is
    /// not integrated yet.
    pub starts: BTreeMap<TeamId, CommitId>,
}

impl Ask {
    /// Asks for one task for one agent, with its branch cut from a commit.
    pub fn named(task: TaskId, agent: AgentId, base: Option<CommitId>) -> Self {
        Self {
            bases: base.map(|base| (task.clone(), base)).into_iter().collect(),
            wish: Wish {
                task: Some(task),
                ..Wish::of(agent)
            },
            ..Self::default()
        }
    }

    /// Returns the commit that a task's branch is cut from, if this tells it.
    pub(super) fn base_of(&self, board: &Board, task: &Task) -> Option<&CommitId> {
        self.bases.get(&task.id).or_else(|| {
            let fresh = task.status.base.is_none() && !board.builds_on_any(task);
            self.starts.get(&task.team).filter(|_| fresh)
        })
    }
}

/// A task and who gets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice<'a> {
    /// The task.
    pub task: &'a Task,
    /// Its coder.
    pub agent: AgentId,
}

impl Board {
    /// Returns what a claim with this wish would get.
    ///
    /// # Errors
    ///
    /// Returns why there is nothing for it.
    pub fn choose(&self, wish: &Wish) -> Result<Choice<'_>, Refusal> {
        self.choose_among(wish, |_| true)
    }

    /// Returns what a claim with this wish would get among some tasks.
    ///
    /// # Errors
    ///
    /// Returns why there is nothing for it.
    pub fn choose_among(
        &self,
        wish: &Wish,
        among: impl Fn(&Task) -> bool,
    ) -> Result<Choice<'_>, Refusal> {
        if let Some(agent) = wish.agent {
            self.require_agent(agent)?;
        }
        if let Some(id) = &wish.task {
            return self.choose_named(wish, self.require_task(id)?);
        }
        if let Some(held) = wish.agent.and_then(|agent| self.held_by(agent)) {
            return Err(self.holds_already(held));
        }
        let standing = Standing::of(self, wish);
        let (first, hurdle) = standing.first(wish);
        let is_among = |candidate: &Candidate<'_>| among(candidate.task());
        let choice = first.filter(is_among).or_else(|| {
            // Nobody is there where there is no first.
            let first = first?.task();
            let mut sorted = standing.ranked(wish, |task| standing.coder_for(task, wish.agent));
            sorted.retain(|(_, candidate)| candidate.task().id != first.id);
            let mut sorted = sorted.into_iter().map(|(_, candidate)| candidate);
            sorted.find(is_among)
        });
        match (choice, hurdle) {
            (Some(candidate), _) => Ok(Choice {
                task: candidate.task(),
                agent: candidate.found.agent,
            }),
            (None, Some((seen, hurdle))) => Err(standing.refusal(seen.task(), wish, hurdle)),
            (None, None) => Err(self.nothing_for(wish)),
        }
    }

    fn choose_named<'a>(&'a self, wish: &Wish, task: &'a Task) -> Result<Choice<'a>, Refusal> {
        let agent = match wish.agent {
            Some(agent) => agent,
            None => {
                let standing = Standing::of(self, &Wish::default());
                let found = standing.coder_for(task, None);
                let found = found.map_err(|hurdle| standing.refusal(task, wish, hurdle));
                found?.agent
            }
        };
        self.may_claim(task, agent)?;
        Ok(Choice { task, agent })
    }

    /// Returns every task that is ready for a wish, as [`Board::choose`] would take them one after another;
    /// also those that a full wave or a paused agent keeps from being taken now.
    pub fn candidates(&self, wish: &Wish) -> Vec<&Task> {
        let standing = Standing::of(self, wish);
        let found = standing.ranked(wish, |task| match wish.agent {
            Some(agent) => standing.matched(task, agent).ok_or(Hurdle::Role),
            None => standing.coder_for(task, None),
        });
        found
            .into_iter()
            .map(|(_, candidate)| candidate.task())
            .collect()
    }

    fn nothing_for(&self, wish: &Wish) -> Refusal {
        let teams: Vec<String> = match wish.agent {
            Some(agent) => vec![agent.team.to_string()],
            None => wish.teams.iter().map(ToString::to_string).collect(),
        };
        let nothing = Refusal::nothing(match teams.as_slice() {
            [] => String::from("no task is ready"),
            [team] => format!("team {team} has no task that is ready"),
            teams => format!("teams {} have no task that is ready", teams.join(", ")),
        });
        if self.tasks.seen().any(|task| task.state == State::Pending) {
            nothing.hint("git orch dispatch")
        } else {
            nothing.hint("git orch status")
        }
    }
}

impl Wish {
    /// Returns whether the wish is for tasks like this one.
    pub fn fits(&self, task: &Task) -> bool {
        let skilled = self
            .skills
            .as_ref()
            .is_none_or(|skills| task.skills.iter().all(|skill| skills.contains(skill)));
        self.is_of_team(task) && skilled && !self.not.contains(&task.id)
    }

    fn is_of_team(&self, task: &Task) -> bool {
        self.is_about(task.team)
    }

    fn is_about(&self, team: TeamId) -> bool {
        match self.agent {
            Some(agent) => team == agent.team,
            None => self.teams.is_empty() || self.teams.contains(&team),
        }
    }
}

impl<'a> Standing<'a> {
    /// Returns the first of all that a wish may get, and what is in the way of the first that it may not.
    ///
    /// One pass: whatever comes behind the best so far by its turn alone is not looked at any closer.
    fn first(&self, wish: &Wish) -> (Option<Candidate<'a>>, Option<(Seen<'a>, Hurdle)>) {
        let mut front: Vec<Candidate<'a>> = Vec::new();
        let mut hurdle = None;
        let mut coders = self.coders(wish.agent);
        for seen in &self.ready {
            let is_choosy = wish.skills.is_some() || !wish.not.is_empty();
            if is_choosy && !wish.fits(seen.task()) {
                continue;
            }
            let crew = self.place_of(seen.team);
            let turn = Turn::of(crew.map(|crew| &self.crews()[crew]), seen);
            if front.first().is_some_and(|best| best.turn < turn) {
                continue;
            }
            match coders.coder_for(*seen, crew) {
                Ok(found) => {
                    let candidate = Candidate::new(*seen, found, turn);
                    match front.first().map(|best| candidate.turn.cmp(&best.turn)) {
                        Some(Ordering::Greater) => continue,
                        Some(Ordering::Less) => front.clear(),
                        Some(Ordering::Equal) if self.waiting.is_empty() => {
                            // Nothing waits for any of them: the next that counts is at hand.
                            if candidate.rank(0) < front[0].rank(0) {
                                front[0] = candidate;
                            }
                            continue;
                        }
                        _ => {}
                    }
                    front.push(candidate);
                }
                Err(found) => hurdle = hurdle.or(Some((*seen, found))),
            }
        }
        let waits = rank::waits(self, &front);
        let ranked = front.into_iter().zip(waits);
        let first = ranked.min_by_key(|(candidate, waits)| candidate.rank(*waits));
        (first.map(|(candidate, _)| candidate), hurdle)
    }

    /// Returns all that a wish may get in the order in which it would.
    fn ranked(
        &self,
        wish: &Wish,
        matched: impl Fn(&Task) -> Result<standing::Match, Hurdle>,
    ) -> Vec<(Rank, Candidate<'a>)> {
        let ready = self.ready.iter().filter(|seen| wish.fits(seen.task()));
        let found: Vec<Candidate<'a>> = ready
            .filter_map(|seen| {
                let found = matched(seen.task()).ok()?;
                let turn = Turn::of(self.crew(seen.team), seen);
                Some(Candidate::new(*seen, found, turn))
            })
            .collect();
        let waits = rank::waits(self, &found);
        let mut ranked: Vec<(Rank, Candidate<'a>)> = found
            .into_iter()
            .zip(waits)
            .map(|(candidate, waits)| (candidate.rank(waits), candidate))
            .collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked
    }

    /// Says what is in the way of a task that is ready.
    fn refusal(&self, task: &Task, wish: &Wish, hurdle: Hurdle) -> Refusal {
        match hurdle {
            Hurdle::Paused => match wish.agent {
                Some(agent) => {
                    super::apply::is_paused(agent, self.board.paused(agent).unwrap_or_default())
                }
                None => none_free(task.team),
            },
            Hurdle::NoneFree => none_free(task.team),
            Hurdle::Role => {
                let role = task.role.as_deref().unwrap_or_default();
                let crew = self.crew(task.team);
                let coders = crew.map_or(&[][..], |crew| crew.coders());
                let of_role = coders
                    .iter()
                    .map(|coder| coder.agent)
                    .filter(|agent| crew.is_some_and(|crew| crew.role_of(*agent) == Some(role)));
                let of_role: Vec<String> = of_role.map(|agent| agent.to_string()).collect();
                Refusal::nothing(format!(
                    "task {} waits for a coder of role {role}: {}",
                    task.id,
                    of_role.join(", ")
                ))
                .hint(format!("git orch status {}", task.team))
            }
            Hurdle::Full => {
                let model = self.board.model_of(task);
                let held = self.board.held_per_model().get(&model).copied();
                match self.board.has_room(&model, held.unwrap_or(0)) {
                    Err(refusal) => refusal,
                    Ok(()) => none_free(task.team),
                }
            }
        }
    }
}

fn none_free(team: TeamId) -> Refusal {
    Refusal::nothing(format!("every coder of team {team} is at work or paused"))
        .hint("git orch queue active")
}

#[cfg(test)]
mod tests;
