//! Operations: what may be asked of the ledger, and what it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::board::{AgentRecord, Gate, Settings, Tested};
use super::choose::Ask;
use super::ending::EndingClass;
use super::event::Event;
use super::ids::{AgentId, Attempt, CommitId, LockId, MachineId, OpId, TaskId, TeamId, Timestamp};
use super::locks::Lock;
use super::signing::{Signer, Signing};
use super::spec::{Handoff, PhaseSpec, Plan, TaskSpec, TeamSpec};
use super::state::Status;
use super::wrapup::WrapUp;

/// Who asks for a transition (A2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// A person, outside agents' worktrees.
    Human,
    /// A coder or leader.
    Agent(AgentId),
    /// `git orch run` or `work`, on behalf of the agents it runs.
    Executor,
    /// `git orch assemble`.
    Assembler,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Human => f.write_str("human"),
            Self::Agent(agent) => agent.fmt(f),
            Self::Executor => f.write_str("executor"),
            Self::Assembler => f.write_str("assembler"),
        }
    }
}

/// One request to the ledger; it carries all that differs between two times of deciding it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Its id.
    pub id: OpId,
    /// When it was made.
    pub time: Timestamp,
    /// Who asks.
    pub actor: Actor,
    /// On which machine.
    pub machine: MachineId,
    /// What is asked.
    pub op: Op,
}

/// A claim as every later word about a task quotes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The task.
    pub task: TaskId,
    /// Its holder.
    pub agent: AgentId,
    /// The holder's fencing number.
    pub attempt: Attempt,
}

/// An attempt whose work is not handed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedAttempt {
    /// The claim.
    pub claim: Claim,
    /// Whose fault it is.
    pub class: EndingClass,
    /// Whether it costs one of the task's tries.
    pub counts: bool,
    /// Why, in a line.
    pub reason: String,
    /// All that the next attempt, or a person, should know.
    pub findings: Option<String>,
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Begin the ledger.
    Init(Box<Settings>),
    /// Make another ledger the truth: `local`, or a remote's name.
    Authority(String),
    /// Make the ledger say what a plan says.
    ApplyPlan(Box<PlanChange>),
    /// Add one task; what earlier runs did with its id.
    AddTask(Box<TaskSpec>, Earlier),
    /// Make ready what may start; give failed tasks their retry or record the gap. Phases open by this gate or
    /// by the ledger's, whichever asks for more.
    Dispatch(Gate),
    /// An executor begins: what could not be begun or checked on its machine is tried again.
    Begin,
    /// Say how far a phase must have come before the next one opens, whoever dispatches.
    Gate(Gate),
    /// Give one agent the right to work on a task.
    Claim(Box<Ask>),
    /// The agent has begun.
    Start(Claim),
    /// The agent waits for something.
    Block(Claim, String),
    /// It waits no more: what is told to the agent that goes on, if anything.
    Unblock(Claim, Option<String>),
    /// The attempt failed: reason in a line, findings for the next attempt.
    Fail(Claim, String, Option<String>),
    /// The claim is given back; does not count as a failure.
    Release(Claim, String),
    /// An executor's agent has brought nothing.
    End(Box<EndedAttempt>),
    /// The holder's machine has not renewed its lease for the whole time: the claim is taken from it.
    Expire(Claim, String),
    /// A person brings back what was given up, failed or is blocked.
    Retry(Box<Retry>),
    /// A person takes a task from whoever holds it, or opens one that was blocked for good.
    Free {
        /// The task.
        task: TaskId,
        /// Why, in a line.
        reason: String,
        /// What is told to whoever works on it next.
        message: Option<String>,
    },
    /// The agent gets no work until it is resumed.
    Pause(AgentId, String),
    /// The agent gets work again.
    Resume(AgentId),
    /// The coder says done and the checks agree.
    Submit(Claim, CommitId, Box<Handoff>),
    /// Someone must look at this.
    Escalate(TaskId, String),
    /// The task is not wanted any more.
    Cancel(TaskId, String),
    /// The assembler found it wanting: the submitted head, reason in a line, findings.
    Reject(TaskId, CommitId, String, String),
    /// It does not merge: the submitted head, reason in a line, findings.
    Conflict(TaskId, CommitId, String, String),
    /// It is in the integration branch: the submitted head and the commit that brought it in.
    Merge(TaskId, CommitId, CommitId),
    /// An assembly came to its end.
    Assembled(Box<AssemblyRecord>),
    /// The base branch moved to the tested commit: branch, from, to.
    Approve(String, CommitId, CommitId),
    /// A landing was taken back out of the integration branch.
    Undo(Box<Undone>),
    /// It is on its team's branch: the submitted head and the commit that brought it there.
    Accept(TaskId, CommitId, CommitId),
    /// Make a lock, or change it.
    SetLock(Box<Lock>),
    /// Take a lock away.
    RemoveLock(LockId),
    /// Say how transitions and commits are signed, and who may to begin with.
    Signing(Signing, Vec<Signer>),
    /// Let somebody sign.
    Enroll(Vec<Signer>),
    /// Let somebody sign no more.
    Dismiss(String),
    /// What was done, what is next and what is in the way, at the end of some work.
    WrapUp(Box<WrapUp>),
    /// The run is over: what is still open of its wrap-up, and why it ends, in a line.
    Close(Vec<String>, Option<String>),
}

/// A plan as `plan apply` asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanChange {
    /// The plan.
    pub plan: Plan,
    /// Digest of each task's specification, in the plan's order.
    pub digests: Vec<u64>,
    /// What earlier runs did with its tasks' ids.
    pub earlier: Earlier,
}

impl PlanChange {
    /// Returns the change to a plan none of whose ids an earlier run has used.
    pub fn new(plan: Plan) -> Self {
        Self {
            digests: plan.tasks.iter().map(TaskSpec::digest).collect(),
            plan,
            earlier: Earlier::default(),
        }
    }
}

/// What the archive says of ids that are used again, so that their attempts go on rising: no word of an earlier run
/// counts in this one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// The archives that this was read from.
    pub archives: BTreeSet<String>,
    /// The number of the latest claim of each id, where it was ever claimed.
    pub attempts: BTreeMap<TaskId, Attempt>,
}

/// Which tasks are brought back, and how they begin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// The tasks.
    pub tasks: Vec<TaskId>,
    /// Whether all gaps are meant as well.
    pub all_gaps: bool,
    /// Whether they go on from their branches, which begin anew otherwise.
    pub resume: bool,
    /// What is told to whoever works on them next.
    pub message: Option<String>,
}

/// The ledger's record of an assembly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssemblyRecord {
    /// The report as TOML, kept under `assemblies/`.
    pub report: String,
    /// One line for the message.
    pub summary: String,
    /// The team onto whose branch it was; `None` for the integration branch.
    pub team: Option<TeamId>,
    /// The tip of the integration branch and the test that it passed.
    pub tested: Option<Tested>,
}

/// The ledger's record of a landing that was taken back out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undone {
    /// The task whose work it was; `None` for a commit that no task handed in.
    pub task: Option<TaskId>,
    /// The commit that had brought it in.
    pub landing: CommitId,
    /// Where the integration branch is without it.
    pub tip: CommitId,
    /// Whether a commit of its own takes it out, so that it stays in the history.
    pub reverted: bool,
    /// Why, in a line.
    pub reason: String,
    /// What is known of the tip.
    pub tested: Option<Tested>,
}

/// What a transition does: files to write, and the message that tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Changes to the board and its files.
    pub edits: Vec<Edit>,
    /// What is told.
    pub event: Event,
}

/// One change to the board and to the file behind it.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Write `orch.toml`.
    PutSettings(Box<Settings>),
    /// Move the run's tasks, teams and phases under `archive/<name>/`, so that nothing of them is on the board.
    Archive(String),
    /// Write `phases.toml`.
    PutPhases(Vec<PhaseSpec>),
    /// Write `teams/<n>/team.toml`.
    PutTeam(TeamSpec),
    /// Remove a team and all below it.
    RemoveTeam(TeamId),
    /// Write a task's specification.
    PutTask {
        /// The specification.
        spec: Box<TaskSpec>,
        /// Its position in the plan.
        order: u32,
        /// Its digest.
        digest: u64,
        /// Whether its files lie in the second level of directories.
        sharded: bool,
    },
    /// Write a task's position in the plan, and nothing else of its specification.
    PutOrder(TaskId, u32),
    /// Remove a task and its status.
    RemoveTask(TaskId),
    /// Write `teams/<n>/agents/<n.m>.toml`.
    PutAgent(AgentId, AgentRecord),
    /// Write a task's status.
    PutStatus(TaskId, Box<Status>),
    /// Write a task's handoff contract.
    PutHandoff(TaskId, Box<Handoff>),
    /// Write an assembly report.
    PutAssembly(u32, String),
    /// Write which integration commit passed its test.
    PutTested(Option<Tested>),
    /// Write `locks.toml`.
    PutLocks(Vec<Lock>),
    /// Write `allowed_signers`.
    PutSigners(Vec<Signer>),
    /// Write the record of a wrap-up, called after the operation that made it.
    PutWrapUp(OpId, Box<WrapUp>),
}
