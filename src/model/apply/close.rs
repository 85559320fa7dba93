//! The end of a run.

use super::super::board::{Board, Settings};
use super::super::event::{Event, EventKind};
use super::super::ids::{Attempt, TaskId};
use super::super::op::{Change, Earlier, Edit, Intent};
use super::super::state::{State, Status};
use super::super::wrapup::WrapUpAt;
use super::{Decision, Refusal};

/// Tasks and open things that a refusal names.
const MOST_NAMED: usize = 5;

/// Characters of a run's name that its archive is called by.
const MOST_NAME: usize = 60;

impl Board {
    /// Makes sure that the run still goes on.
    ///
    /// # Errors
    ///
    /// It is closed.
    pub fn require_open(&self) -> Result<(), Refusal> {
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
        if self.settings.closed.is_some() && self.archive_closed().is_none() {
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
        let archive = self.archive_name();
        let settings = Settings {
            closed: self.settings.closed.or(Some(intent.time)),
            archive: Some(archive.clone()),
            ..self.settings.clone()
        };
        event.more.push(("Archive", archive.clone()));
        Ok(Some(Change {
            edits: vec![
                Edit::PutSettings(Box::new(settings)),
                Edit::Archive(archive),
            ],
            event,
        }))
    }

    /// Returns the archive's name for the run: its own, with a number where a run before was called so.
    fn archive_name(&self) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let name = self.run_name().chars().take(MOST_NAME);
        let name: String = name.map(|c| if fits(c) { c } else { '-' }).collect();
        let name = match name.trim_matches('.') {
            "" | "-" => String::from("run"),
            name => name.to_owned(),
        };
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        let free = names.find(|name| !self.archives.contains(name));
        free.expect("there are more numbers than archives")
    }

    /// Returns the edit that empties the board of a closed run, where a version that kept it there has closed it.
    pub(super) fn archive_closed(&self) -> Option<Edit> {
        let is_there = !self.tasks.is_empty() || !self.teams.is_empty();
        (self.settings.closed.is_some() && is_there).then(|| Edit::Archive(self.archive_name()))
    }

    /// Checks that what was read of the archives is all there is.
    pub(super) fn require_current(&self, earlier: &Earlier) -> Result<(), Refusal> {
        if earlier.archives == self.archives {
            return Ok(());
        }
        Err(Refusal::lost("a run was closed in this moment").hint("git orch status"))
    }

    /// Returns the record of a task whose id an earlier run has used: its attempts go on from that one's, and its branch
    /// begins anew.
    pub(super) fn reused(intent: &Intent, id: &TaskId, before: Attempt) -> Edit {
        let status = Status {
            earlier_attempts: before,
            fresh_since: Some(intent.id.clone()),
            op: Some(intent.id.clone()),
            ..Status::default()
        };
        Edit::PutStatus(id.clone(), Box::new(status))
    }
}

fn listed(things: &[String]) -> String {
    let named = things[..things.len().min(MOST_NAMED)].join(", ");
    match things.len().saturating_sub(MOST_NAMED) {
        0 => named,
        more => format!("{named}, and {more} more"),
    }
}

#[cfg(test)]
mod tests;
