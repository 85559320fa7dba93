//! Who is at work and who could be, counted once for a whole choice.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::rank::{Affinity, Suit};
use crate::model::board::{Board, Task};
use crate::model::choose::Wish;
use crate::model::ids::{AgentId, TeamId, Timestamp};
use crate::model::spec::{CoderSpec, TeamSpec};
use crate::model::state::State;
use crate::model::tasks::Seen;

/// Failed attempts in a row with which a coder gets work only where nobody else is there for it (C7).
pub(super) const SEVERAL: usize = 3;

/// What one pass over the tasks tells.
pub(super) struct Standing<'a> {
    pub(super) board: &'a Board,
    crews: Vec<Crew<'a>>,
    /// Model tiers whose wave is full.
    full: Vec<&'a str>,
    /// Tasks that may be claimed, by id.
    pub(super) ready: Vec<Seen<'a>>,
    /// Pending tasks that come after others.
    pub(super) waiting: Vec<Seen<'a>>,
}

/// A team, its coders and what they have got so far.
pub(super) struct Crew<'a> {
    id: TeamId,
    coders: Vec<Coder<'a>>,
    /// Coders who differ in nothing share a kind; the first is the one of whom the plan says nothing.
    kinds: Vec<Kind<'a>>,
    /// All skills that somebody has, sorted; a kind says which are its.
    skills: Vec<&'a str>,
    /// Two free coders of each kind, and of those in trouble: enough to find the best for any task.
    first_free: Vec<usize>,
    pub(super) at_work: u32,
    /// When something last happened to work that it was given.
    pub(super) served: Timestamp,
    claims: u32,
    /// The share of its coders that is at work; comparable among teams.
    pub(super) load: u64,
    /// How often its coders have got work, in proportion to their number.
    pub(super) turns: u64,
}

pub(super) struct Coder<'a> {
    pub(super) agent: AgentId,
    kind: usize,
    pub(super) paused: Option<&'a str>,
    pub(super) holds: Option<&'a Task>,
    failed: Vec<Timestamp>,
    did_well: Timestamp,
    /// Attempts that failed under it since it last handed something in.
    pub(super) failures: usize,
}

struct Kind<'a> {
    role: Option<&'a str>,
    own: &'a [String],
    has: Vec<bool>,
    count: u32,
    /// Somebody of this kind is idle or works, so that waiting for it comes to an end.
    is_there: bool,
}

/// Why nobody gets a task that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hurdle {
    /// The agent that asks is paused.
    Paused,
    /// Every coder of the team is at work or paused.
    NoneFree,
    /// It is kept for coders of its role.
    Role,
    /// Its model tier's wave is full (C2).
    Full,
}

/// A task with the coder that would get it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Match {
    pub(super) agent: AgentId,
    pub(super) suit: Suit,
    /// A free coder of the team that suits the task better.
    pub(super) better: Option<AgentId>,
}

impl<'a> Standing<'a> {
    /// Returns how things stand for the teams that a wish is about, whatever else it asks for.
    pub(super) fn of(board: &'a Board, wish: &Wish) -> Self {
        let teams = board.teams.values();
        let teams = teams.filter(|team| wish.is_about(team.id));
        let mut standing = Self {
            board,
            crews: teams.map(|team| Crew::of(board, team)).collect(),
            full: Vec::new(),
            ready: Vec::new(),
            waiting: Vec::new(),
        };
        let mut per_model: BTreeMap<&str, u32> = BTreeMap::new();
        for task in board.tasks.seen() {
            match task.state {
                State::Ready if wish.is_about(task.team) => standing.ready.push(task),
                State::Pending if task.comes_after => standing.waiting.push(task),
                State::Pending | State::Cancelled => continue,
                _ => {}
            }
            if task.state.is_held() {
                *per_model.entry(board.tier_of(task.task())).or_insert(0) += 1;
            }
            if task.attempt.0 > 0
                && let Some(crew) = standing.crew_mut(task.team)
            {
                crew.count(task);
            }
        }
        for crew in &mut standing.crews {
            crew.settle();
        }
        let limits = board.limits();
        let is_full = |model: &str, held: u32| limits.get(model).is_some_and(|most| held >= *most);
        let full = per_model
            .iter()
            .filter(|(model, held)| is_full(model, **held));
        standing.full = full.map(|(model, _)| *model).collect();
        // A tier with no room at all is full without anybody at work.
        let limits = board.settings.run.iter().flat_map(|run| &run.limits.0);
        let none = limits.filter(|(_, most)| **most == 0);
        standing.full.extend(none.map(|(model, _)| model.as_str()));
        standing
    }

    pub(super) fn crew(&self, team: TeamId) -> Option<&Crew<'a>> {
        self.place_of(team).map(|i| &self.crews[i])
    }

    fn crew_mut(&mut self, team: TeamId) -> Option<&mut Crew<'a>> {
        self.place_of(team).map(|i| &mut self.crews[i])
    }

    pub(super) fn crews(&self) -> &[Crew<'a>] {
        &self.crews
    }

    /// Returns where a team's crew is among all.
    pub(super) fn place_of(&self, team: TeamId) -> Option<usize> {
        // Mostly they are numbered without gaps.
        let first = self.crews.first()?.id.0;
        let near = team.0.checked_sub(first)? as usize;
        if self.crews.get(near).is_some_and(|crew| crew.id == team) {
            return Some(near);
        }
        self.crews.binary_search_by_key(&team, |crew| crew.id).ok()
    }

    /// Returns whether the wave of a task's model tier is full.
    pub(super) fn is_full(&self, task: &Task) -> bool {
        !self.full.is_empty() && self.full.contains(&self.board.tier_of(task))
    }

    /// Returns who gets a ready task: the agent that asks, or the free coder that suits it best.
    pub(super) fn coder_for(&self, task: &Task, asks: Option<AgentId>) -> Result<Match, Hurdle> {
        let crew = self.crew(task.team).ok_or(Hurdle::NoneFree)?;
        if asks.is_some_and(|agent| self.board.paused(agent).is_some()) {
            return Err(Hurdle::Paused);
        }
        if asks.is_none() && crew.first_free.is_empty() {
            return Err(Hurdle::NoneFree);
        }
        if self.is_full(task) {
            return Err(Hurdle::Full);
        }
        match asks {
            None => crew.best_free(task, None).ok_or(Hurdle::Role),
            Some(agent) => self.matched(task, agent).ok_or(Hurdle::Role),
        }
    }

    /// Returns the match of a task and the agent that asks, whatever stands in the way.
    pub(super) fn matched(&self, task: &Task, agent: AgentId) -> Option<Match> {
        let crew = self.crew(task.team)?;
        crew.may_have(task, crew.kind_of(agent))
            .then(|| crew.matched(task, agent))
    }
}

impl<'a> Crew<'a> {
    fn of(board: &'a Board, team: &'a TeamSpec) -> Self {
        let own = team.agents.iter().flat_map(|coder| &coder.skills);
        let mut skills: Vec<&str> = team.skills.iter().chain(own).map(String::as_str).collect();
        skills.sort_unstable();
        skills.dedup();
        let mut crew = Self {
            id: team.id,
            coders: Vec::with_capacity(team.coders as usize),
            kinds: Vec::new(),
            skills,
            first_free: Vec::new(),
            at_work: 0,
            served: Timestamp::default(),
            claims: 0,
            load: 0,
            turns: 0,
        };
        crew.kind(team, None);
        for number in 1..=team.coders {
            let agent = AgentId {
                team: team.id,
                number,
            };
            let spec = team.agents.iter().find(|coder| coder.number == number);
            let kind = spec.map_or(0, |spec| crew.kind(team, Some(spec)));
            crew.coders.push(Coder {
                agent,
                kind,
                paused: board.paused(agent),
                holds: None,
                failed: Vec::new(),
                did_well: Timestamp::default(),
                failures: 0,
            });
        }
        crew
    }

    fn kind(&mut self, team: &'a TeamSpec, spec: Option<&'a CoderSpec>) -> usize {
        let role = spec.and_then(|spec| spec.role.as_deref());
        let own: &[String] = spec.map_or(&[], |spec| &spec.skills);
        let same = |kind: &Kind<'_>| kind.role == role && kind.own == own;
        if let Some(known) = self.kinds.iter().position(same) {
            return known;
        }
        let mut has = vec![false; self.skills.len()];
        for skill in team.skills.iter().chain(own) {
            if let Ok(i) = self.skills.binary_search(&skill.as_str()) {
                has[i] = true;
            }
        }
        let count = has.iter().map(|has| u32::from(*has)).sum();
        self.kinds.push(Kind {
            role,
            own,
            has,
            count,
            is_there: false,
        });
        self.kinds.len() - 1
    }

    /// Counts a task that was claimed once.
    fn count(&mut self, task: Seen<'a>) {
        let state = task.state;
        self.claims += task.attempt.0;
        if state.is_held() || state.is_done() || state == State::Failed {
            self.served = self.served.max(task.since);
        }
        let Some(agent) = task.agent.filter(|agent| agent.team == self.id) else {
            return;
        };
        self.at_work += u32::from(state.is_held());
        let Some(coder) = self.coders.get_mut((agent.number as usize).wrapping_sub(1)) else {
            return;
        };
        if state.is_held() {
            coder.holds = Some(task.task());
        } else if state.is_done() {
            coder.did_well = coder.did_well.max(task.since);
        } else if matches!(state, State::Failed | State::Gap)
            || Affinity::to(task.task(), agent) == Affinity::Failed
        {
            coder.failed.push(task.since);
        }
    }

    /// Draws from the counts what is asked of each task.
    fn settle(&mut self) {
        (self.load, self.turns) = (self.share(self.at_work), self.share(self.claims));
        let mut found = BTreeMap::new();
        for (i, coder) in self.coders.iter_mut().enumerate() {
            let failed = coder.failed.iter();
            coder.failures = failed.filter(|at| **at > coder.did_well).count();
            let waits = coder
                .holds
                .is_some_and(|task| task.status.state == State::Blocked);
            if coder.paused.is_none() && !waits {
                self.kinds[coder.kind].is_there = true;
            }
            if coder.is_free() {
                let group: &mut u32 = found
                    .entry((coder.kind, coder.is_in_trouble()))
                    .or_default();
                *group += 1;
                if *group <= 2 {
                    self.first_free.push(i);
                }
            }
        }
    }

    fn share(&self, part: u32) -> u64 {
        let coders = u64::try_from(self.coders.len()).unwrap_or(u64::MAX);
        (u64::from(part) << 32) / coders.max(1)
    }

    pub(super) fn coder(&self, agent: AgentId) -> Option<&Coder<'a>> {
        self.coders.get((agent.number as usize).wrapping_sub(1))
    }

    pub(super) fn coders(&self) -> &[Coder<'a>] {
        &self.coders
    }

    fn kind_of(&self, agent: AgentId) -> usize {
        self.coder(agent).map_or(0, |coder| coder.kind)
    }

    pub(super) fn role_of(&self, agent: AgentId) -> Option<&'a str> {
        self.kinds[self.kind_of(agent)].role
    }

    /// Returns whether coders of a kind may have a task: one that names a role is kept for those of the role
    /// as long as one of them is idle or works.
    fn may_have(&self, task: &Task, kind: usize) -> bool {
        let Some(role) = task.role.as_deref() else {
            return true;
        };
        let of_role = |kind: &Kind<'_>| kind.role == Some(role);
        of_role(&self.kinds[kind]) || !self.kinds.iter().any(|kind| kind.is_there && of_role(kind))
    }

    /// Returns the skills of a task that an agent lacks.
    pub(super) fn lacks<'t>(&self, task: &'t Task, agent: AgentId) -> Vec<&'t str> {
        let kind = &self.kinds[self.kind_of(agent)];
        let skills = task.skills.iter().map(String::as_str);
        skills.filter(|skill| !self.has(kind, skill)).collect()
    }

    fn has(&self, kind: &Kind<'_>, skill: &str) -> bool {
        let found = self.skills.binary_search(&skill);
        found.is_ok_and(|i| kind.has[i])
    }

    fn suit(&self, task: &Task, agent: AgentId) -> Suit {
        let kind = &self.kinds[self.kind_of(agent)];
        let asked = task.skills.iter();
        let had = asked.filter(|skill| self.has(kind, skill)).count();
        Suit {
            in_trouble: self.coder(agent).is_some_and(Coder::is_in_trouble),
            missing: task.skills.len() - had,
            had: Reverse(had),
            affinity: Affinity::to(task, agent),
        }
    }

    /// Returns the free coder that suits a task best, one agent left out.
    fn best_free(&self, task: &Task, but: Option<AgentId>) -> Option<Match> {
        // Who held it last is unlike the others of its kind.
        let last = task.status.agent.filter(|agent| agent.team == self.id);
        let last = last.and_then(|agent| self.coder(agent));
        let last = last.filter(|coder| coder.is_free());
        let first = self.first_free.iter().map(|i| &self.coders[*i]);
        let key = |coder: &Coder<'_>| {
            let kind = &self.kinds[coder.kind];
            let suit = self.suit(task, coder.agent);
            // Who can do least besides, so that those who can do more stay free for what needs it.
            let idle_role = kind.role.is_some() && kind.role != task.role.as_deref();
            (suit, idle_role, kind.count, coder.agent)
        };
        first
            .chain(last)
            .filter(|coder| Some(coder.agent) != but && self.may_have(task, coder.kind))
            .map(key)
            .min()
            .map(|(suit, .., agent)| Match {
                agent,
                suit,
                better: None,
            })
    }

    fn matched(&self, task: &Task, agent: AgentId) -> Match {
        let suit = self.suit(task, agent);
        let other = self.best_free(task, Some(agent));
        Match {
            agent,
            suit,
            better: other
                .filter(|other| other.suit < suit)
                .map(|other| other.agent),
        }
    }
}

impl Coder<'_> {
    fn is_free(&self) -> bool {
        self.holds.is_none() && self.paused.is_none()
    }

    fn is_in_trouble(&self) -> bool {
        self.failures >= SEVERAL
    }
}
