//! The pure core: values, rules and decisions. No files, processes, environment, clock, Git or async.

pub mod apply;
pub mod artefacts;
mod base;
pub mod board;
pub mod bounds;
pub mod branch;
pub mod choose;
pub mod command;

pub mod duration;
pub mod ending;
pub mod event;
pub mod gate;
pub mod identity;
pub mod ids;
pub mod keep;
pub mod lease;
pub mod levels;
pub mod lines;
pub mod locks;
pub mod op;
pub mod powers;
pub mod profile;
mod prospect;
pub mod radar;
pub mod sandbox;
pub mod scope;
pub mod shared;
pub mod signing;
pub mod spec;
pub mod state;
pub mod suite;
pub mod tasks;
pub mod template;
pub mod time_limits;
pub mod train;
pub mod waiting;
pub mod wrapup;

pub use apply::{Decision, PlanDifference, Refusal, RefusalKind};
pub use board::{AgentRecord, Board, Gate, PhaseState, Settings, Task, Tested};
pub use choose::{Ask, Choice, Explanation, Other, Wish};
pub use command::Command;
pub use ending::{AttemptEnd, Breaker, EndFacts, EndingClass};
pub use event::{Event, EventKind};
pub use gate::GateSpec;
pub use ids::{
    AgentId, Attempt, CommitId, LockId, MachineId, OpId, PhaseName, TaskId, TeamId, Timestamp,
};
pub use levels::{Level, LevelSpec, Levels, Owner};
pub use locks::{Lock, Trust};
pub use op::{
    Actor, AssemblyRecord, Change, Claim, Earlier, Edit, EndedAttempt, Intent, Op, PlanChange,
    Retry, Undone,
};
pub use powers::{Over, Power, Reach, Role};
pub use profile::{CommitBy, DoneSign, Profile};
pub use sandbox::{Confined, Sandbox};
pub use signing::{Signer, Signing};
pub use spec::{
    CoderSpec, Coupling, Criterion, Dependency, Handoff, HandoffStatus, Limits, PhaseSpec, Plan,
    RunSpec, TaskSpec, TeamSpec,
};
pub use state::{State, Status};
pub use tasks::{Glance, Tasks};
pub use time_limits::{TimeLimit, TimeLimits};
pub use waiting::Wait;
pub use wrapup::{CheckedIn, Open, OpenKind, Summary, WrapUp, WrapUpAt, WrapUpCheck};
