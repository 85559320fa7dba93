//! What people and planners write: the plan, its tasks, teams, phases and agent profiles.
//!
//! Reading is tolerant of unknown keys here, since the ledger keeps them; `crate::plan` is the strict
//! reader of a `plan.toml`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::duration;
use super::gate::GateSpec;
use super::ids::{LockId, PhaseName, TaskId, TeamId};
use super::levels::Levels;
use super::locks::Lock;
use super::profile::Profile;
use super::sandbox::Sandbox;
use super::signing::Signing;
use super::suite::Format;
use super::train::obtained::Confirm;
use super::wrapup::{WrapUpAt, WrapUpCheck};

/// A whole `plan.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The run's own settings.
    #[serde(default)]
    pub run: RunSpec,
    /// Agent profiles by name; `default` is used where nothing else is named.
    #[serde(default)]
    pub agents: BTreeMap<String, Profile>,
    /// The steps that work goes up by, as far as anything is said of them.
    #[serde(default, skip_serializing_if = "Levels::is_empty")]
    pub levels: Levels,
    /// What must hold at the end besides what Git knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrapup: Vec<WrapUpCheck>,
    /// Phases in declared order.
    #[serde(default)]
    pub phases: Vec<PhaseSpec>,
    /// Teams in declared order.
    #[serde(default)]
    pub teams: Vec<TeamSpec>,
    /// Decisions that bind whoever builds; those that the ledger has besides stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Lock>,
    /// Tasks in declared order, which is also the order of merging among independent ones.
    #[serde(default)]
    pub tasks: Vec<TaskSpec>,
}

/// `[run]`: settings of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RunSpec {
    /// Name of the run, quoted in every message.
    pub name: String,
    /// What the run is for, in prose; part of every prompt.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub goal: String,
    /// Branch that the work starts from and returns to; the one given to `init` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Integration test of the assembler, run by `sh`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// How often a task is tried again after it failed or was rejected (C3: once).
    pub retries: u32,
    /// Wall time that one attempt may take.
    #[serde(with = "duration::text")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Time that an agent may be idle: no output, no CPU time of its processes, no commit.
    #[serde(with = "duration::text")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// How long a claim holds without renewal.
    #[serde(with = "duration::text")]
    #[schemars(with = "String")]
    pub lease: Duration,
    /// Time that one run of `test` may take.
    #[serde(with = "duration::text")]
    #[schemars(with = "String")]
    pub test_timeout: Duration,
    /// How the test's output tells which tests failed, where its command does not say so by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_format: Option<Format>,
    /// Command that only builds what the test needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_build: Option<String>,
    /// Command that runs some tests only: `{tests}` stands for their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_some: Option<String>,
    /// Files, as patterns, in which the test reports what failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test_reports: Vec<String>,
    /// Times that a failing test is run again before it counts.
    pub test_retries: u32,
    /// What a verdict depends on beside tree and command, for example a version of the compiler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_environment: Option<String>,
    /// Most tests side by side; measured where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_jobs: Option<u32>,
    /// What a test worktree keeps of the files that Git ignores, as patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// When a pass is confirmed on a clean checkout.
    #[serde(skip_serializing_if = "Confirm::is_default")]
    pub confirm: Confirm,
    /// Whether a coder's own run of the test counts, with whatever its worktree holds.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub trust_coder_tests: bool,
    /// How transitions and commits are signed; as the ledger has it where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// Most agents at once over all teams; `None` is bounded by [`Limits`] alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<u32>,
    /// Whose end is refused while something is open that `git orch wrapup` tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrapup: Option<WrapUpAt>,
    /// What the gate insists on.
    #[serde(skip_serializing_if = "GateSpec::is_default")]
    pub gate: GateSpec,
    /// Most agents at once per model tier (C2).
    pub limits: Limits,
    /// What agents are kept in whose profile says nothing of it.
    #[serde(skip_serializing_if = "Sandbox::is_none")]
    pub sandbox: Sandbox,
    /// Paths that sandboxed agents may write besides their own, and those of their profiles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sandbox_write: Vec<String>,
    /// Whether sandboxed agents may use the network, where their profiles say nothing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_network: Option<bool>,
}

impl Default for RunSpec {
    fn default() -> Self {
        Self {
            name: String::from("run"),
            goal: String::new(),
            base: None,
            test: None,
            retries: 1,
            timeout: Duration::from_secs(30 * 60),
            idle_timeout: Duration::from_secs(15 * 60),
            lease: Duration::from_secs(15 * 60),
            test_timeout: Duration::from_secs(30 * 60),
            test_format: None,
            test_build: None,
            test_some: None,
            test_reports: Vec::new(),
            test_retries: 1,
            test_environment: None,
            test_jobs: None,
            keep: Vec::new(),
            confirm: Confirm::Approve,
            trust_coder_tests: false,
            signing: None,
            jobs: None,
            wrapup: None,
            gate: GateSpec::default(),
            limits: Limits::default(),
            sandbox: Sandbox::None,
            sandbox_write: Vec::new(),
            sandbox_network: None,
        }
    }
}

/// Most agents at once per model tier; a tier without an entry is not limited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Limits(pub BTreeMap<String, u32>);

impl Default for Limits {
    fn default() -> Self {
        let tiers = [("haiku", 12), ("sonnet", 8), ("opus", 4)];
        Self(tiers.map(|(tier, most)| (tier.to_owned(), most)).into())
    }
}

/// The tier of a task that names none, and whose team and profile name none.
pub const DEFAULT_MODEL: &str = "sonnet";

/// `[[phases]]`: teams that work at the same time (A5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseSpec {
    /// Name, unique in the plan.
    pub name: PhaseName,
    /// Teams that work in it.
    #[serde(default)]
    pub teams: Vec<TeamId>,
    /// Phases that must be closed before this one opens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<PhaseName>,
}

/// `[[teams]]`: a leader and its coders (A1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TeamSpec {
    /// Number, unique in the plan.
    pub id: TeamId,
    /// Name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Number of coders.
    #[serde(default = "default_coders")]
    pub coders: u32,
    /// Team whose leader this team's leader reports to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TeamId>,
    /// Profile of the team's coders instead of `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Model tier of its tasks, where they name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Skills of its coders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// Coders that differ from the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<CoderSpec>,
}

/// `[[teams.agents]]`: what sets one coder apart from the others of its team (C6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoderSpec {
    /// Its number in the team.
    pub number: u32,
    /// Role that it plays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Skills that it has besides its team's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
}

/// Coders of a team that says nothing (A1: 4 leaders × 4 coders).
pub const DEFAULT_CODERS: u32 = 4;

fn default_coders() -> u32 {
    DEFAULT_CODERS
}

/// `[[tasks]]`: one unit of work (B2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskSpec {
    /// Id, unique in the plan.
    pub id: TaskId,
    /// Team that does it.
    pub team: TeamId,
    /// What is to be done, in one line.
    pub title: String,
    /// Phase, where the team works in more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<PhaseName>,
    /// What the coder needs to know.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub context: String,
    /// Paths that the task may change, as globs; empty means anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// Files that must exist afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliverables: Vec<String>,
    /// What must hold afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub success: Vec<Criterion>,
    /// Tasks that come before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Dependency>,
    /// Higher goes first; 0 where nothing is said.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: i32,
    /// Model tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Role of the agent that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Skills that the agent should have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// Output style asked of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub style: Option<String>,
    /// Estimate without dates, for example `small` or `3 files`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// Repository, where it is not the one of the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// Branch instead of `orch/team-<n>/<id>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Profile instead of the team's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Wall time instead of the profile's or run's.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "duration::text_option"
    )]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// Silent time instead of the profile's or run's.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "duration::text_option"
    )]
    #[schemars(with = "Option<String>")]
    pub idle_timeout: Option<Duration>,
    /// Retries instead of the run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Shell script for agents that take one; reaches every agent as `ORCH_TASK_RUN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Locks that it holds: it may change what they cover.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<LockId>,
}

impl TaskSpec {
    /// Returns a task with nothing but what it must have.
    pub fn new(id: TaskId, team: TeamId, title: impl Into<String>) -> Self {
        Self {
            id,
            team,
            title: title.into(),
            phase: None,
            context: String::new(),
            scope: Vec::new(),
            deliverables: Vec::new(),
            success: Vec::new(),
            after: Vec::new(),
            priority: 0,
            model: None,
            role: None,
            skills: Vec::new(),
            style: None,
            effort: None,
            repo: None,
            branch: None,
            agent: None,
            timeout: None,
            idle_timeout: None,
            retries: None,
            run: None,
            locks: Vec::new(),
        }
    }

    /// Returns a digest of all that the specification says, whatever its formatting (FNV-1a, 64 bits).
    ///
    /// It tells a changed task from an unchanged one; nothing depends on it against forgery.
    pub fn digest(&self) -> u64 {
        // The debug form lists every field with its value and has no other meaning here.
        format!("{self:?}")
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            })
    }
}

/// One success criterion; as a plain string it is a command that must exit with zero in the worktree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "CriterionText", into = "CriterionText")]
pub struct Criterion {
    /// What must hold, in words.
    pub text: Option<String>,
    /// Command that verifies it, run by `sh` in the worktree.
    pub run: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum CriterionText {
    Run(String),
    Full {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<String>,
    },
}

impl From<CriterionText> for Criterion {
    fn from(value: CriterionText) -> Self {
        match value {
            CriterionText::Run(run) => Self {
                text: None,
                run: Some(run),
            },
            CriterionText::Full { text, run } => Self { text, run },
        }
    }
}

impl From<Criterion> for CriterionText {
    fn from(value: Criterion) -> Self {
        match value {
            Criterion {
                text: None,
                run: Some(run),
            } => Self::Run(run),
            Criterion { text, run } => Self::Full { text, run },
        }
    }
}

/// A task that comes before another; as a plain string the coupling is medium.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(from = "DependencyText", into = "DependencyText")]
pub struct Dependency {
    /// The task that comes before.
    pub task: TaskId,
    /// How much of it is needed.
    pub coupling: Coupling,
}

/// How much of a dependency the dependent needs before it may start (B2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Coupling {
    /// It must be merged: tested together with everything else.
    Tight,
    /// It must be submitted; the dependent's branch is cut with its commits in.
    #[default]
    Medium,
    /// It must be submitted; only its handoff contract is passed on.
    Loose,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum DependencyText {
    Id(TaskId),
    Full {
        task: TaskId,
        #[serde(default)]
        coupling: Coupling,
    },
}

impl From<DependencyText> for Dependency {
    fn from(value: DependencyText) -> Self {
        match value {
            DependencyText::Id(task) => Self {
                task,
                coupling: Coupling::default(),
            },
            DependencyText::Full { task, coupling } => Self { task, coupling },
        }
    }
}

impl From<Dependency> for DependencyText {
    fn from(value: Dependency) -> Self {
        match value.coupling {
            Coupling::Medium => Self::Id(value.task),
            coupling => Self::Full {
                task: value.task,
                coupling,
            },
        }
    }
}

/// What a finished, failed or blocked task hands on (B5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Handoff {
    /// The task.
    pub task_id: TaskId,
    /// One of pending, in_progress, completed, failed, blocked.
    pub status: HandoffStatus,
    /// What was done, in one sentence.
    #[serde(default)]
    pub summary: String,
    /// Where the result is: branch, and files under `deliverables`.
    #[serde(default)]
    pub output: String,
    /// Files that were delivered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliverables: Vec<String>,
    /// Tasks that this one built on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<TaskId>,
    /// What should come next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_steps: Vec<String>,
}

/// The five states of the handoff contract (B5).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HandoffStatus {
    /// Not begun.
    #[default]
    Pending,
    /// Being worked on.
    InProgress,
    /// Done, verified and submitted, or further.
    Completed,
    /// Tried and given up, or waiting for its retry.
    Failed,
    /// Waiting for somebody else.
    Blocked,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
