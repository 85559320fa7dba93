//! Agent profiles of a plan: which command works on a task, and how it says that it is done.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::Command;
use super::duration;
use super::sandbox::Sandbox;

/// `[agents.<name>]`: how to start an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Profile {
    /// Command line; a string is run by `sh`, an array is executed as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// Ready-made command line instead of `command`; `shell` runs the task's own `run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// Model tier of the tasks this profile works on, where they name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Who commits what the agent leaves uncommitted.
    pub commit: CommitBy,
    /// What besides a zero exit status tells that the agent is done.
    pub done: DoneSign,
    /// Wall time instead of the run's.
    #[serde(
        skip_serializing_if = "Option::is_none",
        with = "duration::text_option"
    )]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// Silent time instead of the run's.
    #[serde(
        skip_serializing_if = "Option::is_none",
        with = "duration::text_option"
    )]
    #[schemars(with = "Option<String>")]
    pub idle_timeout: Option<Duration>,
    /// Variables added to the agent's environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What the agent is kept in, instead of the run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
    /// Paths that it may write in its sandbox, besides its own and the run's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sandbox_write: Vec<String>,
    /// Whether it may use the network in its sandbox, instead of the run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_network: Option<bool>,
}

impl Profile {
    /// Returns what the agent is kept in.
    pub fn sandbox_in<'a>(&'a self, run: &'a Sandbox) -> &'a Sandbox {
        self.sandbox.as_ref().unwrap_or(run)
    }
}

/// Who commits what an agent leaves uncommitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CommitBy {
    /// The executor, in the agent's name.
    #[default]
    Executor,
    /// The agent; anything left over is a failed verification.
    Agent,
}

/// What tells that an agent is done (C3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DoneSign {
    /// Exit status zero.
    #[default]
    Exit,
    /// `<!-- DONE -->` as the last line of its output, whatever the exit status.
    Sentinel,
    /// A handoff contract in `ORCH_RESULT_FILE` whose status is `completed`, whatever the exit status.
    Result,
}
