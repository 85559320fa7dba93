//! Who may do what (docs/decisions/permissions.md): one table of roles and powers, asked in one place.
//!
//! [`Board::decide`] asks it of every operation before anything else; commands ask the same table before they begin
//! something costly. What a role may do is how far it reaches: to nothing, its own, its team's, or all. Two things
//! narrow the table and never widen it to more than a person gave: a plan's `[levels]` names other owners of a step,
//! and nobody judges work that it handed in itself.

pub mod told;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::apply::Refusal;
use super::board::Board;
use super::event::EventKind;
use super::ids::{AgentId, LockId, TaskId, TeamId};
use super::locks::Lock;
use super::op::{Actor, Intent, Op, Retry};

/// What somebody is here for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Does tasks.
    Coder,
    /// Leads a team: agent 0 of it.
    Leader,
    /// Judges what coders hand in: an agent whose role in the plan is `qc`.
    Qc,
    /// Brings work together, on behalf of whoever may start it.
    Assembler,
    /// Runs agents.
    Executor,
    /// A person.
    Human,
}

impl Role {
    /// All roles, in the order of the table's columns.
    pub const ALL: [Self; 6] = [
        Self::Coder,
        Self::Leader,
        Self::Qc,
        Self::Assembler,
        Self::Executor,
        Self::Human,
    ];

    /// Returns the word used in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coder => "coder",
            Self::Leader => "leader",
            Self::Qc => "qc",
            Self::Assembler => "assembler",
            Self::Executor => "executor",
            Self::Human => "human",
        }
    }
}

/// How far a power goes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// The role lacks it.
    None,
    /// Only itself and the task that it holds.
    Own,
    /// Its own team and the tasks of that.
    Team,
    /// All.
    Any,
}

impl Reach {
    /// Returns the word used in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "no",
            Self::Own => "own",
            Self::Team => "team",
            Self::Any => "any",
        }
    }
}

macro_rules! powers {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal, $says:literal,
        [$($reach:ident)+], [$($command:literal),*];)+) => {
        /// Something that not everybody may do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Power {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Power {
            /// All powers, in the order of the table's rows.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the word used in tables and JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// Returns what it is, as it stands behind "may not".
            pub fn says(self) -> &'static str {
                match self { $(Self::$name => $says),+ }
            }

            /// Returns how far it goes for each role, in the order of [`Role::ALL`].
            pub fn reaches(self) -> [Reach; 6] {
                match self { $(Self::$name => [$(Reach::$reach),+]),+ }
            }

            /// Returns the commands that need it.
            pub fn commands(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($command),*]),+ }
            }
        }
    };
}

// Columns: coder, leader, qc, assembler, executor, human.
powers! {
    /// Begins the ledger, or takes all of it away.
    SetUp = "set-up", "set git-orch up or take it away",
        [None None None None None Any], ["init"];
    /// Brings a plan onto the ledger.
    Plan = "plan", "change the plan",
        [None None None None None Any], ["plan apply"];
    /// Adds a task to a team's.
    AddTask = "add-task", "add tasks",
        [None Team None None None Any], ["task add"];
    /// Makes ready what the plan allows to start; whoever asks, the answer is the plan's.
    Dispatch = "dispatch", "make tasks ready",
        [Any Any Any Any Any Any], ["dispatch"];
    /// Says how far phases must have come before others open.
    Gate = "gate", "say when phases open",
        [None None None None Any Any], [];
    /// Makes another ledger the truth.
    Authority = "authority", "say where the ledger's truth is",
        [None None None None None Any], ["remote set"];
    /// Exchanges everything with the remote.
    Sync = "sync", "sync",
        [None None None None Any Any], ["sync"];
    /// Starts agents.
    Run = "run", "run other agents",
        [None None None None Any Any], ["run", "work"];
    /// Takes a task for an agent.
    Claim = "claim", "claim",
        [Own Team Own None Any Any], ["claim"];
    /// Speaks of a task as its holder.
    Work = "work", "speak",
        [Own Team Own None Any Any],
        ["start", "renew", "block", "unblock", "fail", "release"];
    /// Hands a task in.
    Submit = "submit", "speak",
        [Own Team Own None Any Any], ["submit"];
    /// Takes claims from a machine that has gone silent.
    Expire = "expire", "take over claims of other machines",
        [None None None None Any Any], ["sync", "doctor"];
    /// Takes a task from its holder.
    Free = "free", "take tasks from their holders",
        [None Team None None None Any], ["release"];
    /// Brings back what was given up.
    Retry = "retry", "bring tasks back",
        [None Team None None None Any], ["retry"];
    /// Gives an agent no work, or work again.
    Steer = "steer", "pause or resume agents",
        [None Team None None Any Any], ["pause", "resume"];
    /// Calls for help.
    Escalate = "escalate", "escalate",
        [Any Any Any Any Any Any], ["escalate"];
    /// Gives a task up.
    Cancel = "cancel", "cancel tasks",
        [None Team None None None Any], ["cancel"];
    /// Sends back what somebody else handed in.
    Reject = "reject", "reject work",
        [None Team Any Any None Any], [];
    /// Records that work was brought in, or that it conflicts.
    Integrate = "integrate", "integrate work",
        [None Team None Any None Any], [];
    /// Brings a team's work onto the team's branch.
    AssembleTeam = "assemble-team", "assemble",
        [None Team None Any Any Any], ["assemble"];
    /// Brings the work of all teams together.
    Assemble = "assemble", "assemble",
        [None None None Any Any Any], ["assemble"];
    /// Moves the base branch.
    Approve = "approve", "approve",
        [None None None None None Any], ["approve"];
    /// Takes a landing back out.
    Undo = "undo", "undo a landing",
        [None None None None None Any], ["undo"];
    /// Forgets what tests have said.
    Forget = "forget", "take verdicts away",
        [None None None None None Any], ["assemble"];
    /// Makes, changes or takes away locks that are not critical.
    Lock = "lock", "change a lock",
        [None Any None None None Any], ["lock set", "lock remove"];
    /// Makes, changes or takes away critical locks.
    LockCritical = "lock-critical", "change a critical lock",
        [None None None None None Any], ["lock set", "lock remove"];
    /// Says whether transitions and commits are signed, and who may sign no more.
    Signing = "signing", "say what is signed",
        [None None None None None Any], ["init", "signers remove"];
    /// Lets somebody sign; a machine does it for its agents.
    Enroll = "enroll", "let others sign",
        [None None None None Any Any], ["signers add"];
    /// Puts right what is broken, and brings back what was lost.
    Mend = "mend", "mend what is broken",
        [None None None None None Any], ["doctor"];
    /// Brings back what was saved, or gives it up.
    Recover = "recover", "bring back or give up what was saved",
        [None None None None None Any], ["recover restore", "recover prune"];
    /// Takes coders' worktrees away.
    TakeAway = "take-away", "take worktrees away",
        [None None None None None Any], ["worktree remove"];
    /// Records what was done, what is next and what is in the way.
    WrapUp = "wrap-up", "wrap the run up",
        [None None None None Any Any], ["wrapup"];
    /// Ends the run.
    Close = "close", "close the run",
        [None None None None None Any], ["close"];
}

impl Power {
    /// Returns how far it goes for a role.
    pub fn reach(self, role: Role) -> Reach {
        self.reaches()[role as usize]
    }

    /// Returns the power that a told event needs; `None` where the event says nothing of who may.
    pub fn of_event(kind: EventKind) -> Self {
        match kind {
            EventKind::Init => Self::SetUp,
            EventKind::Plan => Self::Plan,
            EventKind::Add => Self::AddTask,
            EventKind::Dispatch => Self::Dispatch,
            EventKind::Claim => Self::Claim,
            EventKind::Start
            | EventKind::Block
            | EventKind::Unblock
            | EventKind::Fail
            | EventKind::Release => Self::Work,
            EventKind::Retry => Self::Retry,
            EventKind::Expire => Self::Expire,
            EventKind::Pause | EventKind::Resume => Self::Steer,
            EventKind::Remote => Self::Authority,
            EventKind::Submit => Self::Submit,
            EventKind::Escalate => Self::Escalate,
            EventKind::Cancel => Self::Cancel,
            EventKind::Reject => Self::Reject,
            EventKind::Accept | EventKind::Merge => Self::Integrate,
            EventKind::Assemble => Self::Assemble,
            EventKind::Approve => Self::Approve,
            EventKind::Undo => Self::Undo,
            EventKind::Restore => Self::Mend,
            EventKind::Lock => Self::Lock,
            EventKind::Sign => Self::Enroll,
            EventKind::WrapUp => Self::WrapUp,
            EventKind::Close => Self::Close,
        }
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whose matter something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Everybody's.
    All,
    /// A team's.
    Team(TeamId),
    /// One agent's, and so its team's as well.
    Agent(AgentId),
    /// Of something that is not there, which is another refusal's to say.
    Unknown,
}

impl Over {
    fn team(self) -> Option<TeamId> {
        match self {
            Self::Team(team) => Some(team),
            Self::Agent(agent) => Some(agent.team),
            Self::All | Self::Unknown => None,
        }
    }
}

/// Role of an agent in a plan that makes it one of quality control.
pub const QC: &str = "qc";

impl Board {
    /// Returns what somebody is here for.
    pub fn role(&self, actor: Actor) -> Role {
        let Actor::Agent(agent) = actor else {
            return match actor {
                Actor::Executor => Role::Executor,
                Actor::Assembler => Role::Assembler,
                Actor::Human | Actor::Agent(_) => Role::Human,
            };
        };
        if agent.is_leader() {
            return Role::Leader;
        }
        let coders = self.teams.get(&agent.team).map(|team| &team.agents);
        let own = coders.and_then(|all| all.iter().find(|coder| coder.number == agent.number));
        match own.and_then(|coder| coder.role.as_deref()) {
            Some(QC) => Role::Qc,
            _ => Role::Coder,
        }
    }

    /// Checks that somebody has a power over something.
    ///
    /// # Errors
    ///
    /// Its role lacks it, or does not reach so far; says who could.
    pub fn may(&self, actor: Actor, power: Power, over: Over) -> Result<(), Refusal> {
        if self.reaches(actor, power, over) {
            return Ok(());
        }
        Err(denied(actor, power, over, None))
    }

    fn reaches(&self, actor: Actor, power: Power, over: Over) -> bool {
        let reach = power.reach(self.role(actor));
        match (reach, actor) {
            (Reach::Any, _) => true,
            (Reach::None, _) => false,
            (_, _) if over == Over::Unknown => true,
            (Reach::Own, Actor::Agent(agent)) => over == Over::Agent(agent),
            (Reach::Team, Actor::Agent(agent)) => over.team() == Some(agent.team),
            (Reach::Own | Reach::Team, _) => false,
        }
    }

    /// Checks that an intent's actor may ask for it: the one place where operations are held against the table.
    pub(super) fn permit(&self, intent: &Intent) -> Result<(), Refusal> {
        let (power, over) = self.power_for(&intent.op);
        if !self.reaches(intent.actor, power, over) {
            return Err(denied(intent.actor, power, over, task_of(&intent.op)));
        }
        match (&intent.op, intent.actor) {
            (Op::Reject(id, ..), Actor::Agent(agent)) => self.not_its_own(agent, id),
            _ => Ok(()),
        }
    }

    /// Nobody judges work that it handed in itself, leaders among them.
    fn not_its_own(&self, agent: AgentId, id: &TaskId) -> Result<(), Refusal> {
        let holder = self.tasks.get(id).and_then(|task| task.status.agent);
        if holder != Some(agent) {
            return Ok(());
        }
        Err(Refusal::denied(format!(
            "agent {agent} may not judge task {id}: it handed that in itself"
        )))
    }

    /// Returns the power that an operation needs, and over what.
    fn power_for(&self, op: &Op) -> (Power, Over) {
        let task = |id: &TaskId| match self.tasks.see(id) {
            Some(task) => Over::Team(task.team),
            None => Over::Unknown,
        };
        match op {
            Op::Init(_) => (Power::SetUp, Over::All),
            Op::Authority(_) => (Power::Authority, Over::All),
            Op::ApplyPlan(_) => (Power::Plan, Over::All),
            Op::AddTask(spec, _) => (Power::AddTask, Over::Team(spec.team)),
            Op::Dispatch(_) | Op::Begin => (Power::Dispatch, Over::All),
            Op::Gate(_) => (Power::Gate, Over::All),
            Op::Claim(ask) => (Power::Claim, ask.wish.agent.map_or(Over::All, Over::Agent)),
            Op::Start(claim)
            | Op::Block(claim, _)
            | Op::Unblock(claim, _)
            | Op::Fail(claim, ..)
            | Op::Release(claim, _) => (Power::Work, Over::Agent(claim.agent)),
            Op::End(ended) => (Power::Work, Over::Agent(ended.claim.agent)),
            Op::Submit(claim, ..) => (Power::Submit, Over::Agent(claim.agent)),
            Op::Expire(claim, _) => (Power::Expire, Over::Agent(claim.agent)),
            Op::Free { task: id, .. } => (Power::Free, task(id)),
            Op::Retry(retry) => (Power::Retry, self.over_all_of(retry)),
            Op::Pause(agent, _) | Op::Resume(agent) => (Power::Steer, Over::Agent(*agent)),
            Op::Escalate(id, _) => (Power::Escalate, task(id)),
            Op::Cancel(id, _) => (Power::Cancel, task(id)),
            Op::Reject(id, ..) => (Power::Reject, task(id)),
            Op::Conflict(id, ..) | Op::Accept(id, ..) | Op::Merge(id, ..) => {
                (Power::Integrate, task(id))
            }
            Op::Assembled(_) => (Power::Assemble, Over::All),
            Op::Approve(..) => (Power::Approve, Over::All),
            Op::Undo(_) => (Power::Undo, Over::All),
            Op::SetLock(lock) => (self.lock_power(&lock.id, Some(lock)), Over::All),
            Op::RemoveLock(id) => (self.lock_power(id, None), Over::All),
            Op::Signing(..) | Op::Dismiss(_) => (Power::Signing, Over::All),
            Op::Enroll(_) => (Power::Enroll, Over::All),
            Op::WrapUp(_) => (Power::WrapUp, Over::All),
            Op::Close(..) => (Power::Close, Over::All),
        }
    }
}

impl Board {
    /// Returns whose matter the tasks are that are brought back.
    fn over_all_of(&self, retry: &Retry) -> Over {
        let teams = retry.tasks.iter().filter_map(|id| self.tasks.see(id));
        let mut teams: Vec<TeamId> = teams.map(|task| task.team).collect();
        teams.sort_unstable();
        teams.dedup();
        match teams.as_slice() {
            _ if retry.all_gaps => Over::All,
            [] => Over::Unknown,
            [team] => Over::Team(*team),
            _ => Over::All,
        }
    }

    fn lock_power(&self, id: &LockId, new: Option<&Lock>) -> Power {
        match self.is_critical(id, new) {
            true => Power::LockCritical,
            false => Power::Lock,
        }
    }
}

/// Returns the one task that an operation names, for the words of a refusal.
fn task_of(op: &Op) -> Option<&TaskId> {
    match op {
        Op::Free { task: id, .. }
        | Op::Cancel(id, _)
        | Op::Reject(id, ..)
        | Op::Conflict(id, ..)
        | Op::Accept(id, ..)
        | Op::Merge(id, ..) => Some(id),
        _ => None,
    }
}

/// Returns the refusal: who may not do what, and who could.
fn denied(actor: Actor, power: Power, over: Over, task: Option<&TaskId>) -> Refusal {
    let what = match (power, over, task) {
        (Power::Claim, Over::Agent(agent), _) => format!("claim for agent {agent}"),
        (Power::Claim, _, _) => String::from("claim for other agents"),
        (Power::Work | Power::Submit, Over::Agent(agent), _) => format!("speak for agent {agent}"),
        (Power::Steer, Over::Agent(agent), _) => format!("pause or resume agent {agent}"),
        (Power::Free, _, Some(task)) => format!("take task {task} from its holder"),
        (Power::Cancel, _, Some(task)) => format!("cancel task {task}"),
        (Power::Reject, _, Some(task)) => format!("reject task {task}"),
        (Power::Integrate, _, Some(task)) => format!("integrate task {task}"),
        (Power::AddTask, Over::Team(team), _) => format!("add tasks to team {team}"),
        (Power::AssembleTeam, Over::Team(team), _) => format!("assemble team {team}"),
        (power, _, _) => power.says().to_owned(),
    };
    let refusal = Refusal::denied(format!(
        "{} may not {what}: only {} may",
        called(actor),
        who_could(power, over)
    ));
    match (power, actor) {
        (Power::Claim, Actor::Agent(agent)) => {
            refusal.hint(format!("git orch claim --agent {agent}"))
        }
        _ => refusal.hint("git orch powers"),
    }
}

/// Returns how a refusal calls somebody.
fn called(actor: Actor) -> String {
    match actor {
        Actor::Human => String::from("a person"),
        Actor::Agent(agent) => format!("agent {agent}"),
        Actor::Executor => String::from("the executor"),
        Actor::Assembler => String::from("the assembler"),
    }
}

/// Returns who has a power over something, in words.
fn who_could(power: Power, over: Over) -> String {
    let name = |role: Role| {
        let (reach, team) = (power.reach(role), over.team());
        match (role, reach, team) {
            (_, Reach::None, _) => None,
            (Role::Coder, Reach::Own, _) => match over {
                Over::Agent(agent) => Some(agent.to_string()),
                _ => Some(String::from("the coder itself")),
            },
            // Its own is said already.
            (Role::Qc, Reach::Own, _) => None,
            (Role::Leader, Reach::Team, Some(team)) => Some(format!("its leader {team}.0")),
            (Role::Leader, Reach::Team, None) => Some(String::from("a team's leader")),
            (Role::Coder, _, _) => Some(String::from("a coder")),
            (Role::Leader, _, _) => Some(String::from("a leader")),
            (Role::Qc, _, _) => Some(String::from("quality control")),
            (Role::Assembler, _, _) => Some(String::from("the assembler")),
            (Role::Executor, _, _) => Some(String::from("an executor")),
            (Role::Human, _, _) => Some(String::from("a person")),
        }
    };
    let names: Vec<String> = Role::ALL.into_iter().filter_map(name).collect();
    match names.as_slice() {
        [some @ .., last] if !some.is_empty() => format!("{} or {last}", some.join(", ")),
        _ => names.concat(),
    }
}

/// Renders the table for people: a row for each power, a column for each role.
pub fn table() -> String {
    let mut text = format!("{:<14}", "power");
    for role in Role::ALL {
        text.push_str(&format!("{:<10}", role.as_str()));
    }
    text = text.trim_end().to_owned();
    for power in Power::ALL {
        let mut line = format!("{power:<14}");
        for reach in power.reaches() {
            let word = match reach {
                Reach::None => "-",
                reach => reach.as_str(),
            };
            line.push_str(&format!("{word:<10}"));
        }
        text.push('\n');
        text.push_str(line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests;
