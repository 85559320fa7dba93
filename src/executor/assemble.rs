//! Lets the assembler bring together what was submitted.

use std::collections::BTreeMap;

use anyhow::Result;
use tokio::sync::mpsc::UnboundedSender;

use super::News;
use crate::assembler::{self, Progress, Watch};
use crate::error::{Exit, UserError};
use crate::ledger::Ledger;
use crate::model::event::shorten;
use crate::model::{State, TaskId};
use crate::workspace::shared::require_untouched;

/// Assembles what waits, and returns whether the state of any task has changed.
pub(super) fn assemble(mut ledger: Ledger, news: UnboundedSender<News>) -> Result<bool> {
    require_untouched(ledger.repo())?;
    let before = states(&ledger);
    let mut teller = Teller(news);
    let options = assembler::Options::default();
    if let Err(error) = assembler::assemble(&mut ledger, &options, &mut teller) {
        let user = error.downcast_ref::<UserError>();
        if user.is_none_or(|user| user.exit != Exit::NothingToDo) {
            return Err(error.context("cannot assemble what was submitted"));
        }
    }
    ledger.refresh()?;
    Ok(states(&ledger) != before)
}

fn states(ledger: &Ledger) -> BTreeMap<TaskId, State> {
    let tasks = ledger.board().tasks.values();
    tasks
        .map(|task| (task.id.clone(), task.status.state))
        .collect()
}

/// Passes on to the loop what the assembler tells on its own thread.
struct Teller(UnboundedSender<News>);

impl Watch for Teller {
    fn progress(&mut self, step: Progress<'_>) {
        let text = match step {
            Progress::Began { target, branches } => {
                format!("assembling onto {target}: {branches} to bring in")
            }
            Progress::Testing { what, command } => {
                format!("testing {what}: {}", shorten(command, 60))
            }
            // The verdict on the branch says what came of it.
            Progress::Tested(_) => return,
            // The ledger has the findings, and the next attempt gets them.
            Progress::Found { .. } => return,
            Progress::Decided(row) => {
                let task = row
                    .task
                    .as_ref()
                    .map_or(row.branch.as_str(), TaskId::as_str);
                let reason = row.reason.as_ref().map(|reason| format!(": {reason}"));
                format!("{task} {}{}", row.verdict, reason.unwrap_or_default())
            }
            Progress::Note(text) => text.to_owned(),
        };
        // Nobody listens to an assembly that was broken off.
        let _ = self.0.send(News::Note(text));
    }
}
