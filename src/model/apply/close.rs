//! The end of a run.

use super::super::board::{Board, Settings};
use super::super::event::{Event, EventKind};
use super::super::op::{Change, Edit, Intent};
use super::super::state::State;
use super::super::wrapup::WrapUpAt;
use super::{Decision, Refusal};

/// Tasks and open things that a refusal names.
const MOST_NAMED: usize = 5;

impl Board {
    /// Makes sure that the run still goes on.
    pub(super) fn require_open(&self) -> Result<(), Refusal> {
        match self.settings.closed {
            None => Ok(()),
            Some(_) => Err(
                Refusal::denied(format!("run {} is closed", self.run_name()))
                    .hint("git orch plan apply plan.toml"),
            ),
        }
    }

    /// Ends the run: every task has come to its end and, where the plan asks for it, nothing of the wrap-up is open.
    pub(super) fn close(&self, intent: &Intent, open: &[String], reason: Option<&str>) -> Decision {
        let name = self.run_name();
        if self.settings.run.is_none() {
            return Err(
                Refusal::nothing("there is no run to close").hint("git orch plan apply plan.toml")
            );
        }
        if self.settings.closed.is_some() {
            return Ok(None);
        }
        let unfinished = self
            .tasks
            .values()
            .filter(|task| !task.status.state.is_final());
        let unfinished: Vec<String> = unfinished
            .map(|task| format!("{} is {}", task.id, task.status.state))
            .collect();
        if !unfinished.is_empty() {
            return Err(Refusal::denied(format!(
                "run {name} cannot be closed: {}",
                listed(&unfinished)
            ))
            .hint("git orch status")
            .hint("git orch cancel <task> -m <why>"));
        }
        if self.wrap_up_at() == Some(WrapUpAt::Close) && !open.is_empty() {
            return Err(Refusal::denied(format!(
                "run {name} cannot be closed before its wrap-up is done: {}",
                listed(open)
            ))
            .hint("git orch wrapup --fix"));
        }
        let count = |state: State| {
            let tasks = self.tasks.values();
            tasks.filter(|task| task.status.state == state).count()
        };
        let mut event = Event::new(
            EventKind::Close,
            format!(
                "{} merged, {} cancelled, {} given up",
                count(State::Merged),
                count(State::Cancelled),
                count(State::Gap)
            ),
        );
        event.body = reason.unwrap_or_default().to_owned();
        let settings = Settings {
            closed: Some(intent.time),
            ..self.settings.clone()
        };
        Ok(Some(Change {
            edits: vec![Edit::PutSettings(Box::new(settings))],
            event,
        }))
    }
}

fn listed(things: &[String]) -> String {
    let named = things[..things.len().min(MOST_NAMED)].join(", ");
    match things.len().saturating_sub(MOST_NAMED) {
        0 => named,
        more => format!("{named}, and {more} more"),
    }
}
