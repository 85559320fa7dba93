//! States of a task and the machine's record of it (docs/decisions/life.md).

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ending::EndingClass;
use super::ids::{AgentId, Attempt, CommitId, MachineId, OpId, Timestamp};
use super::spec::HandoffStatus;

/// Where a task is in its life.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A dependency is not in, or its phase is not open.
    #[default]
    Pending,
    /// May be claimed.
    Ready,
    /// Held by an agent that has not begun.
    Claimed,
    /// Held by an agent that works on it.
    InProgress,
    /// Held by an agent that waits for something.
    Blocked,
    /// The coder says done, and the checks of `submit` agree.
    Submitted,
    /// Found good, and on its way up: its team's branch has it.
    Accepted,
    /// In the integration branch.
    Merged,
    /// The last attempt failed; `dispatch` gives it its retry or records the gap.
    Failed,
    /// Given up after its retries.
    Gap,
    /// Not wanted any more.
    Cancelled,
}

impl State {
    /// All states, in the order of a task's life.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::Ready,
        Self::Claimed,
        Self::InProgress,
        Self::Blocked,
        Self::Submitted,
        Self::Accepted,
        Self::Merged,
        Self::Failed,
        Self::Gap,
        Self::Cancelled,
    ];

    /// Returns the word used in files, messages and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Claimed => "claimed",
            Self::InProgress => "in_progress",
            Self::Blocked => "blocked",
            Self::Submitted => "submitted",
            Self::Accepted => "accepted",
            Self::Merged => "merged",
            Self::Failed => "failed",
            Self::Gap => "gap",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether an agent holds the task.
    pub fn is_held(self) -> bool {
        matches!(self, Self::Claimed | Self::InProgress | Self::Blocked)
    }

    /// Returns whether the coder's part is done: submitted or further.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Submitted | Self::Accepted | Self::Merged)
    }

    /// Returns whether nothing more will happen to the task.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Merged | Self::Gap | Self::Cancelled)
    }

    /// Returns the state as the handoff contract names it (B5).
    pub fn handoff(self) -> HandoffStatus {
        match self {
            Self::Pending | Self::Ready => HandoffStatus::Pending,
            Self::Claimed | Self::InProgress => HandoffStatus::InProgress,
            Self::Blocked => HandoffStatus::Blocked,
            Self::Submitted | Self::Accepted | Self::Merged => HandoffStatus::Completed,
            Self::Failed | Self::Gap | Self::Cancelled => HandoffStatus::Failed,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no state of a task"))
    }
}

/// Messages that a task's record keeps; the log has those before.
const MOST_MESSAGES: usize = 16;

/// The machine's record of a task; a task without one is pending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Where the task is in its life.
    pub state: State,
    /// Who holds it, or held it last.
    pub agent: Option<AgentId>,
    /// Number of the latest claim; 0 before the first.
    pub attempt: Attempt,
    /// Number of the latest claim of an earlier run's task of the same id, from which this one's go on.
    pub earlier_attempts: Attempt,
    /// Machine of the holder.
    pub machine: Option<MachineId>,
    /// Until when the claim holds, for people to read; the lease decides.
    pub lease_until: Option<Timestamp>,
    /// When the state was entered.
    pub since: Timestamp,
    /// Branch that the work is on, once there is one.
    pub branch: Option<String>,
    /// The operation since which the branch begins anew: what it held before that is kept apart from it. Where
    /// absent, the branch is continued as it is.
    pub fresh_since: Option<OpId>,
    /// Commit that the branch was cut from.
    pub base: Option<CommitId>,
    /// Commit that was submitted.
    pub head: Option<CommitId>,
    /// Commit that brought the work into the integration branch; in any other state than merged one that did and
    /// was reverted.
    pub commit: Option<CommitId>,
    /// Attempts that failed or were rejected.
    pub failures: u32,
    /// Times in a row that the submitted work did not merge.
    pub conflicts: u32,
    /// Claims in a row that were taken from a machine whose lease had run out.
    pub takeovers: u32,
    /// Why it is blocked, failed, a gap or cancelled; one line.
    pub reason: Option<String>,
    /// Whose fault it is that the last attempt brought nothing, where its executor has said so.
    pub class: Option<EndingClass>,
    /// What went wrong before, for the next attempt; may be long.
    pub findings: Option<String>,
    /// What people have told whoever works on it next, oldest first; kept until the work is merged.
    pub messages: Vec<String>,
    /// The operation that wrote this; makes every record unique.
    pub op: Option<OpId>,
    /// Keys that this version does not know, as TOML.
    pub extra: String,
}

impl Status {
    /// Returns whether its last attempt could not be begun or checked for no fault of the work's: it has cost no try,
    /// and is tried again when somebody has looked.
    pub fn waits_for_setup(&self) -> bool {
        self.state == State::Failed && self.class.as_ref().is_some_and(|class| !class.counts())
    }

    /// Keeps a message for whoever works on the task next; where the task was blocked, with the words that it answers.
    pub fn add_message(&mut self, blocked: Option<&str>, text: &str) {
        let text = text.trim();
        let message = match blocked.map(str::trim).filter(|words| !words.is_empty()) {
            Some(words) => format!("in answer to \"{words}\": {text}"),
            None => text.to_owned(),
        };
        if text.is_empty() || self.messages.last() == Some(&message) {
            return;
        }
        self.messages.push(message);
        let surplus = self.messages.len().saturating_sub(MOST_MESSAGES);
        self.messages.drain(..surplus);
    }
}
