//! The state of everything at one tip of the ledger, and questions about it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::ids::{AgentId, CommitId, OpId, PhaseName, TaskId, TeamId, Timestamp};
use super::levels::Levels;
use super::locks::Lock;
use super::profile::Profile;
use super::signing::{Signer, Signing};
use super::spec::{
    Coupling, DEFAULT_MODEL, Dependency, Limits, PhaseSpec, RunSpec, TaskSpec, TeamSpec,
};
use super::state::{State, Status};
use super::tasks::Tasks;
use super::wrapup::WrapUpCheck;

/// The ledger's tip as values. Task specifications stay on the ledger; a [`Task`] has what decisions need.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Board {
    /// `orch.toml`.
    pub settings: Settings,
    /// `phases.toml`, in declared order.
    pub phases: Vec<PhaseSpec>,
    /// `teams/<n>/team.toml`.
    pub teams: BTreeMap<TeamId, TeamSpec>,
    /// `teams/<n>/agents/`; an agent without a record is fit for work.
    pub agents: BTreeMap<AgentId, AgentRecord>,
    /// `teams/<n>/tasks/` and `teams/<n>/status/`.
    pub tasks: Tasks,
    /// The newest commit of the integration branch that passed its test.
    pub tested: Option<Tested>,
    /// Number of the latest assembly report; 0 where there is none.
    pub assemblies: u32,
    /// `locks.toml`, in declared order.
    pub locks: Vec<Lock>,
    /// `allowed_signers`: whose signatures count.
    pub signers: Vec<Signer>,
    /// `archive/`: the closed runs, by the names of their directories.
    pub archives: BTreeSet<String>,
}

/// `orch.toml`: what holds for the whole ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Version of the ledger's format.
    pub format: u32,
    /// Branch that the work starts from and returns to.
    pub base: String,
    /// `local`, or the remote whose ledger is the truth.
    pub authority: String,
    /// The run; absent before the first `plan apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Box<RunSpec>>,
    /// When the run was closed; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Timestamp>,
    /// Name of the archive that the closed run is in; absent where a version closed it that kept it on the board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// How transitions and commits are signed.
    #[serde(default, skip_serializing_if = "Signing::is_off")]
    pub signing: Signing,
    /// How far a phase must have come before the next one opens, for everybody who dispatches.
    #[serde(default, skip_serializing_if = "Gate::is_submitted")]
    pub gate: Gate,
    /// Agent profiles by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub agents: BTreeMap<String, Profile>,
    /// The steps that work goes up by, as far as the plan says anything of them.
    #[serde(default, skip_serializing_if = "Levels::is_empty")]
    pub levels: Levels,
    /// What must hold at the end besides what Git knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrapup: Vec<WrapUpCheck>,
}

/// The ledger format that this version reads and writes.
pub const FORMAT: u32 = 1;

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: FORMAT,
            base: String::from("main"),
            authority: LOCAL.to_owned(),
            run: None,
            closed: None,
            archive: None,
            signing: Signing::default(),
            gate: Gate::default(),
            agents: BTreeMap::new(),
            levels: Levels::default(),
            wrapup: Vec::new(),
        }
    }
}

/// The machine's record of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentRecord {
    /// Why it gets no work for now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
}

/// The authority of a ledger that is its own truth.
pub const LOCAL: &str = "local";

/// A commit whose tree passed a test command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// The commit.
    pub commit: CommitId,
    /// The test command; `None` where the plan has none and merging was all that was asked.
    pub test: Option<String>,
}

/// One task: what decisions need of its specification, and its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Its team.
    pub team: TeamId,
    /// What is to be done, in one line.
    pub title: String,
    /// Phase that it names, if any.
    pub phase: Option<PhaseName>,
    /// Tasks that come before.
    #[serde(with = "dependency_pairs")]
    pub after: Vec<Dependency>,
    /// Higher goes first.
    pub priority: i32,
    /// Position in the plan, from 0; the order of merging among independent tasks.
    pub order: u32,
    /// Model tier that it names, if any.
    pub model: Option<String>,
    /// Role of the agent that fits, if it names one.
    pub role: Option<String>,
    /// Skills that the agent should have.
    pub skills: Vec<String>,
    /// Profile that it names, if any.
    pub agent: Option<String>,
    /// Retries that it names, if any.
    pub retries: Option<u32>,
    /// Branch that it names, if any.
    pub branch: Option<String>,
    /// Whether its files lie in the second level of directories.
    pub sharded: bool,
    /// Digest of the whole specification, to see whether it changed.
    pub digest: u64,
    /// The machine's record.
    pub status: Status,
}

impl Task {
    /// Returns the row of a specification, pending.
    pub fn from_spec(spec: &TaskSpec, order: u32, sharded: bool, digest: u64) -> Self {
        Self {
            id: spec.id.clone(),
            team: spec.team,
            title: spec.title.clone(),
            phase: spec.phase.clone(),
            after: spec.after.clone(),
            priority: spec.priority,
            order,
            model: spec.model.clone(),
            role: spec.role.clone(),
            skills: spec.skills.clone(),
            agent: spec.agent.clone(),
            retries: spec.retries,
            branch: spec.branch.clone(),
            sharded,
            digest,
            status: Status::default(),
        }
    }

    /// Returns whether its branch is one of ours, so that it may begin anew, and none of the user's that the plan names.
    pub fn has_own_branch(&self) -> bool {
        self.branch_name().starts_with("orch/")
    }

    /// Returns the branch that the task is done on.
    pub fn branch_name(&self) -> String {
        let named = self.status.branch.as_ref().or(self.branch.as_ref());
        named
            .cloned()
            .unwrap_or_else(|| format!("orch/team-{}/{}", self.team, self.id))
    }
}

/// How far earlier work must have come before later work may start; what asks for more is greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// Submitted is enough for a phase to close.
    #[default]
    Submitted,
    /// A phase closes when all its tasks are merged or given up.
    Merged,
}

impl Gate {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_submitted(&self) -> bool {
        *self == Self::Submitted
    }
}

/// State of a phase, as `status` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseState {
    /// A phase before it is not closed.
    Pending,
    /// Its tasks may start.
    Open,
    /// All its tasks are done or given up.
    Closed,
}

impl Board {
    /// Returns the run's settings, or the defaults before the first plan.
    pub fn run(&self) -> RunSpec {
        self.settings.run.as_deref().cloned().unwrap_or_default()
    }

    /// Returns the name of the run for messages; `-` before the first plan.
    pub fn run_name(&self) -> &str {
        self.settings
            .run
            .as_ref()
            .map_or("-", |run| run.name.as_str())
    }

    /// Returns the phase of a task: the one it names, or the first its team works in.
    pub fn phase_of(&self, task: &Task) -> Option<&PhaseSpec> {
        match &task.phase {
            Some(name) => self.phases.iter().find(|phase| phase.name == *name),
            None => self
                .phases
                .iter()
                .find(|phase| phase.teams.contains(&task.team)),
        }
    }

    /// Returns the states of all phases in declared order; one pass over the tasks.
    pub fn phase_states(&self, gate: Gate) -> Vec<PhaseState> {
        let position: BTreeMap<&PhaseName, usize> = self
            .phases
            .iter()
            .enumerate()
            .map(|(i, phase)| (&phase.name, i))
            .collect();
        let mut first_of_team: BTreeMap<TeamId, usize> = BTreeMap::new();
        for (i, phase) in self.phases.iter().enumerate() {
            for team in &phase.teams {
                first_of_team.entry(*team).or_insert(i);
            }
        }
        let mut settled = vec![true; self.phases.len()];
        let is_done = |state: State| match gate {
            Gate::Submitted => state.is_done() || state.is_final(),
            Gate::Merged => state.is_final(),
        };
        for task in self.tasks.like(|task| !is_done(task.state)) {
            let phase = match &task.phase {
                Some(name) => position.get(name),
                None => first_of_team.get(&task.team),
            };
            if let Some(i) = phase {
                settled[*i] = false;
            }
        }
        let mut states = vec![PhaseState::Pending; self.phases.len()];
        // A phase may name a later one as its predecessor, so settle until nothing changes.
        loop {
            let before = states.clone();
            for (i, phase) in self.phases.iter().enumerate() {
                let open = phase.after.iter().all(|name| {
                    position
                        .get(name)
                        .is_none_or(|j| states[*j] == PhaseState::Closed)
                });
                states[i] = match (open, settled[i]) {
                    (false, _) => PhaseState::Pending,
                    (true, false) => PhaseState::Open,
                    (true, true) => PhaseState::Closed,
                };
            }
            if states == before {
                return states;
            }
        }
    }

    /// Returns whether a phase is open or closed, so that its tasks may start.
    pub fn may_start_phase(&self, task: &Task, states: &[PhaseState]) -> bool {
        let Some(phase) = self.phase_of(task) else {
            return true;
        };
        let position = self
            .phases
            .iter()
            .position(|other| other.name == phase.name);
        position.is_none_or(|i| states[i] != PhaseState::Pending)
    }

    /// Returns the first dependency that is not far enough, with its state.
    pub fn waits_for<'a>(&'a self, task: &'a Task) -> Option<(&'a TaskId, State)> {
        task.after.iter().find_map(|dependency| {
            let state = self
                .tasks
                .see(&dependency.task)
                .map_or(State::Gap, |task| task.state);
            let enough = match dependency.coupling {
                Coupling::Tight => state == State::Merged,
                Coupling::Medium | Coupling::Loose => state.is_done(),
            };
            (!enough).then_some((&dependency.task, state))
        })
    }

    /// Returns the model tier of a task: its own, its team's, its profile's, or the default.
    pub fn model_of(&self, task: &Task) -> String {
        self.tier_of(task).to_owned()
    }

    /// Returns the same without a copy, for whoever asks it of every task.
    pub(super) fn tier_of<'a>(&'a self, task: &'a Task) -> &'a str {
        let team = self.teams.get(&task.team);
        let of_team = team.and_then(|team| team.model.as_deref());
        let of_profile = || {
            let named = team.and_then(|team| team.agent.as_deref());
            let name = task.agent.as_deref().or(named).unwrap_or("default");
            self.settings.agents.get(name)?.model.as_deref()
        };
        let named = task.model.as_deref().or(of_team);
        named.or_else(of_profile).unwrap_or(DEFAULT_MODEL)
    }

    /// Returns the most tasks of each model tier that may be worked on at once (C2).
    pub(super) fn limits(&self) -> Cow<'_, BTreeMap<String, u32>> {
        match &self.settings.run {
            Some(run) => Cow::Borrowed(&run.limits.0),
            None => Cow::Owned(Limits::default().0),
        }
    }

    /// Returns name and profile of the agent that works on a task; `shell` where none is declared.
    pub fn profile_of(&self, task: &Task) -> (String, Profile) {
        let team = self
            .teams
            .get(&task.team)
            .and_then(|team| team.agent.clone());
        let name = task
            .agent
            .clone()
            .or(team)
            .unwrap_or_else(|| String::from("default"));
        let built_in = || Profile {
            preset: Some(String::from("shell")),
            ..Profile::default()
        };
        let profile = self
            .settings
            .agents
            .get(&name)
            .cloned()
            .unwrap_or_else(built_in);
        (name, profile)
    }

    /// Returns the operation since which a task's branch begins anew; `None` where the branch is continued.
    pub fn fresh_since<'a>(&'a self, task: &'a Task) -> Option<&'a OpId> {
        let since = task.status.fresh_since.as_ref();
        since.filter(|_| task.has_own_branch())
    }

    /// Returns how many times a task may be tried again.
    pub fn retries_of(&self, task: &Task) -> u32 {
        let run = || self.settings.run.as_ref().map_or(1, |run| run.retries);
        task.retries.unwrap_or_else(run)
    }

    /// Returns the task that an agent holds.
    pub fn held_by(&self, agent: AgentId) -> Option<&Task> {
        self.tasks
            .like(|task| task.state.is_held() && task.agent == Some(agent))
            .next()
    }

    /// Returns why an agent gets no work for now, if it does not.
    pub fn paused(&self, agent: AgentId) -> Option<&str> {
        self.agents.get(&agent)?.paused.as_deref()
    }

    /// Returns the number of held tasks per model tier (C2).
    pub fn held_per_model(&self) -> BTreeMap<String, u32> {
        let mut held = BTreeMap::new();
        for task in self.tasks.like(|task| task.state.is_held()) {
            *held.entry(self.model_of(task)).or_insert(0) += 1;
        }
        held
    }

    /// Returns all tasks with dependencies before dependents, otherwise in declared order.
    pub fn train_order(&self) -> Vec<&Task> {
        let mut by_order: Vec<&Task> = self.tasks.values().collect();
        by_order.sort_by_key(|task| task.order);
        let phase_rank = self.phase_ranks();
        by_order.sort_by_key(|task| self.phase_of(task).map(|phase| phase_rank.get(&phase.name)));
        let (mut placed, mut train) = (std::collections::BTreeSet::new(), Vec::new());
        while train.len() < by_order.len() {
            let before = train.len();
            for task in &by_order {
                let ready = task.after.iter().all(|dependency| {
                    placed.contains(&dependency.task) || !self.tasks.contains_key(&dependency.task)
                });
                if ready && placed.insert(task.id.clone()) {
                    train.push(*task);
                }
            }
            if train.len() == before {
                // A cycle cannot come through `plan apply`; after a hand edit the rest keeps its order.
                train.extend(by_order.iter().filter(|task| !placed.contains(&task.id)));
                break;
            }
        }
        train
    }

    /// Returns for each phase how many phases must close before it, at most.
    fn phase_ranks(&self) -> BTreeMap<PhaseName, usize> {
        let mut ranks: BTreeMap<PhaseName, usize> = self
            .phases
            .iter()
            .map(|phase| (phase.name.clone(), 0))
            .collect();
        for _ in 0..self.phases.len() {
            for phase in &self.phases {
                let rank = phase.after.iter().filter_map(|name| ranks.get(name)).max();
                let rank = rank.map_or(0, |highest| highest + 1);
                ranks.insert(phase.name.clone(), rank);
            }
        }
        ranks
    }

    /// Returns the agents of all teams, leaders left out, teams taking turns.
    pub fn coders(&self) -> Vec<AgentId> {
        let most = self
            .teams
            .values()
            .map(|team| team.coders)
            .max()
            .unwrap_or(0);
        (1..=most)
            .flat_map(|number| {
                let with = self
                    .teams
                    .values()
                    .filter(move |team| number <= team.coders);
                with.map(move |team| AgentId {
                    team: team.id,
                    number,
                })
            })
            .collect()
    }
}

mod dependency_pairs {
    //! Dependencies as pairs, since the snapshot's format has no untagged values.

    use super::{Coupling, Dependency, TaskId};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &[Dependency], to: S) -> Result<S::Ok, S::Error> {
        let pairs: Vec<(&TaskId, Coupling)> = value.iter().map(|d| (&d.task, d.coupling)).collect();
        pairs.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<Dependency>, D::Error> {
        let pairs = Vec::<(TaskId, Coupling)>::deserialize(from)?;
        Ok(pairs
            .into_iter()
            .map(|(task, coupling)| Dependency { task, coupling })
            .collect())
    }
}
