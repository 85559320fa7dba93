//! Wrap-up: nothing stays where only one machine has it, and what was done, what is next and what is in the way is
//! told.
//!
//! What is found on disk comes from `crate::workspace` as [`Open`] items; here is what the board says, and what of it
//! all forbids an end.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::apply::{Decision, Refusal};
use super::board::Board;
use super::event::{Event, EventKind, shorten};
use super::ids::{AgentId, TaskId};
use super::op::{Change, Edit, Intent};
use super::state::State;
use super::train::INTEGRATION;

/// Whose end an open item forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WrapUpAt {
    /// A coder's: `submit` is refused while its worktree has open items.
    Submit,
    /// The run's: it is not closed while anything is open.
    Close,
}

/// `[[wrapup]]`: something that must hold at the end, of which Git knows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WrapUpCheck {
    /// What it is called.
    pub name: String,
    /// Command that passes when it holds, run by `sh`.
    pub command: String,
    /// Where it is run.
    #[serde(
        default,
        rename = "where",
        skip_serializing_if = "CheckedIn::is_repository"
    )]
    pub place: CheckedIn,
}

/// Where a check is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CheckedIn {
    /// Once, in the main worktree.
    #[default]
    Repository,
    /// In every coder's worktree.
    Worktree,
}

impl CheckedIn {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_repository(&self) -> bool {
        *self == Self::Repository
    }
}

/// What kind of thing is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OpenKind {
    /// Files that are not committed, or an operation under way.
    Uncommitted,
    /// Commits that no ref reaches.
    Detached,
    /// A stash that only this machine has.
    Stash,
    /// Commits that the remote does not have.
    Unpushed,
    /// A task that somebody holds, or that is blocked.
    Task,
    /// Work that was handed in and is not brought in.
    Assembly,
    /// A declared check that fails.
    Check,
}

impl fmt::Display for OpenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uncommitted => "uncommitted",
            Self::Detached => "detached",
            Self::Stash => "stash",
            Self::Unpushed => "unpushed",
            Self::Task => "task",
            Self::Assembly => "assembly",
            Self::Check => "check",
        })
    }
}

/// Something that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Open {
    /// What kind of thing it is.
    pub kind: OpenKind,
    /// Whose.
    pub agent: Option<AgentId>,
    /// Of which task.
    pub task: Option<TaskId>,
    /// Where: a directory, a branch, a check.
    #[serde(rename = "where")]
    pub place: String,
    /// What is open.
    pub what: String,
    /// Command that closes it, or shows what must be known to.
    pub command: Option<String>,
}

/// What is told at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// Tasks that are merged.
    pub done: Vec<String>,
    /// What comes next.
    pub next: Vec<String>,
    /// What is in the way.
    pub blockers: Vec<String>,
}

/// The ledger's record of a wrap-up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WrapUp {
    /// The summary.
    pub summary: Summary,
    /// What is open, a line each; empty where all is closed.
    pub open: Vec<String>,
}

/// Most lines of a kind in a message; the file has them all.
const MOST_LINES: usize = 20;

impl Board {
    /// Returns what the board says is open: tasks at work or blocked, work that waits to be brought in. Of one
    /// agent there is nothing to say: it must hold its task to hand it in.
    pub fn unfinished(&self) -> Vec<Open> {
        let mut open = Vec::new();
        for task in self.tasks.values() {
            let status = &task.status;
            let (kind, what, command) = match status.state {
                State::Claimed | State::InProgress | State::Blocked => (
                    OpenKind::Task,
                    format!("{} is {}", task.id, status.state),
                    format!("git orch status {}", task.id),
                ),
                State::Submitted | State::Accepted => (
                    OpenKind::Assembly,
                    format!("{} is {} and not brought in", task.id, status.state),
                    String::from("git orch assemble"),
                ),
                _ => continue,
            };
            open.push(Open {
                kind,
                agent: status.agent,
                task: Some(task.id.clone()),
                place: task.branch_name(),
                what,
                command: Some(command),
            });
        }
        open
    }

    /// Returns what was done, what is next and what is in the way.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for task in self.train_order() {
            let line = format!("{}: {}", task.id, task.title);
            let reason = task.status.reason.as_deref().unwrap_or("no reason is told");
            match task.status.state {
                State::Merged => summary.done.push(line),
                State::Blocked | State::Failed | State::Gap => {
                    let state = task.status.state;
                    summary.blockers.push(format!("{line} ({state}: {reason})"));
                }
                State::Cancelled => {}
                state => summary.next.push(format!("{line} ({state})")),
            }
        }
        for (agent, record) in &self.agents {
            if let Some(why) = &record.paused {
                summary
                    .blockers
                    .push(format!("agent {agent} is paused: {why}"));
            }
        }
        summary
    }

    /// Returns whose end open items forbid, as the run says it.
    pub fn wrap_up_at(&self) -> Option<WrapUpAt> {
        self.settings.run.as_ref().and_then(|run| run.wrapup)
    }

    /// Allows a coder to hand in, as far as its own worktree goes.
    ///
    /// # Errors
    ///
    /// The run asks for a wrap-up and something is open.
    pub fn may_submit_with(&self, open: &[Open]) -> Result<(), Refusal> {
        match self.wrap_up_at() {
            Some(WrapUpAt::Submit) => require_closed("the wrap-up is not done", open),
            Some(WrapUpAt::Close) | None => Ok(()),
        }
    }

    /// Records a wrap-up.
    pub(super) fn wrap_up(&self, intent: &Intent, done: &WrapUp) -> Decision {
        let Summary {
            done: merged,
            next,
            blockers,
        } = &done.summary;
        let mut event = Event::new(
            EventKind::WrapUp,
            format!(
                "{} done, {} next, {} in the way, {} open",
                merged.len(),
                next.len(),
                blockers.len(),
                done.open.len()
            ),
        );
        let parts = [
            ("Done", merged),
            ("Next", next),
            ("In the way", blockers),
            ("Open", &done.open),
        ];
        let paragraphs = parts.iter().filter(|(_, lines)| !lines.is_empty());
        let paragraphs: Vec<String> = paragraphs.map(|(head, lines)| list(head, lines)).collect();
        event.body = paragraphs.join("\n\n");
        let edits = vec![Edit::PutWrapUp(intent.id.clone(), Box::new(done.clone()))];
        Ok(Some(Change { edits, event }))
    }
}

fn list(head: &str, lines: &[String]) -> String {
    let shown = lines.iter().take(MOST_LINES);
    let mut text = format!("{head}:");
    for line in shown {
        text.push_str(&format!("\n- {}", shorten(line, 200)));
    }
    if lines.len() > MOST_LINES {
        text.push_str(&format!("\n- and {} more", lines.len() - MOST_LINES));
    }
    text
}

fn require_closed(what: &str, open: &[Open]) -> Result<(), Refusal> {
    let Some(first) = open.first() else {
        return Ok(());
    };
    let more = match open.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    let refusal = Refusal::denied(format!("{what}: {}{more}", first.what)).hint("git orch wrapup");
    Err(match &first.command {
        Some(command) => refusal.hint(command.clone()),
        None => refusal,
    })
}

/// Returns the item of an integration branch whose landing was cut short.
pub fn unfinished_landing() -> Open {
    Open {
        kind: OpenKind::Assembly,
        agent: None,
        task: None,
        place: INTEGRATION.to_owned(),
        what: String::from("an assembly or approval was cut short while it moved branches"),
        command: Some(String::from("git orch assemble")),
    }
}

#[cfg(test)]
mod tests;
