//! The plan as it stands on the ledger, and what another one changes in it.

use anyhow::Result;
use similar::TextDiff;

use super::render::{render_head, render_task};
use crate::ledger::Ledger;
use crate::model::{Plan, PlanChange, PlanDifference, Task, TaskId};
use crate::ui::Style;

/// Returns the plan that would leave the ledger as it is.
///
/// # Errors
///
/// A task cannot be read.
pub fn standing_plan(ledger: &Ledger) -> Result<Plan> {
    let board = ledger.board();
    let mut tasks: Vec<&Task> = board.tasks.values().collect();
    tasks.sort_by_key(|task| task.order);
    let tasks: Result<Vec<_>> = tasks.iter().map(|task| ledger.spec(&task.id)).collect();
    Ok(Plan {
        tasks: tasks?,
        ..standing_head(ledger)
    })
}

/// Returns that plan without its tasks.
fn standing_head(ledger: &Ledger) -> Plan {
    let board = ledger.board();
    Plan {
        run: board.run(),
        agents: board.settings.agents.clone(),
        levels: board.settings.levels.clone(),
        wrapup: board.settings.wrapup.clone(),
        phases: board.phases.clone(),
        teams: board.teams.values().cloned().collect(),
        locks: board.locks.clone(),
        tasks: Vec::new(),
    }
}

/// What applying a plan would change, told in the plan's own format.
#[derive(Debug)]
pub struct Comparison {
    /// The tasks concerned.
    pub difference: PlanDifference,
    /// Changes of the run, agents, phases and teams, as a unified diff; empty where there are none.
    pub settings: String,
    /// Whether tasks change places.
    reordered: bool,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    verb: &'static str,
    id: TaskId,
    title: String,
    diff: String,
}

impl Comparison {
    /// Compares a plan with the ledger.
    ///
    /// # Errors
    ///
    /// A task that differs cannot be read.
    pub fn new(ledger: &Ledger, change: &PlanChange) -> Result<Self> {
        let board = ledger.board();
        let after = board.preview_plan(change);
        let old = match &board.settings.run {
            Some(_) => render_head(&standing_head(ledger)),
            None => String::new(),
        };
        let head = Plan {
            run: after.run(),
            agents: after.settings.agents.clone(),
            levels: after.settings.levels.clone(),
            wrapup: after.settings.wrapup.clone(),
            phases: after.phases.clone(),
            teams: after.teams.values().cloned().collect(),
            locks: after.locks.clone(),
            tasks: Vec::new(),
        };
        let difference = board.compare_plan(change);
        let moved = |task: &Task| {
            let next = after.tasks.get(&task.id);
            next.is_some_and(|next| next.order != task.order)
        };
        Ok(Self {
            settings: unified(&old, &render_head(&head)),
            reordered: board.tasks.values().any(moved),
            entries: entries(ledger, change, &difference)?,
            difference,
        })
    }

    /// Returns whether nothing would change.
    pub fn is_empty(&self) -> bool {
        let PlanDifference {
            added,
            changed,
            removed,
            brought_back,
            kept: _,
        } = &self.difference;
        let same = added.is_empty() && changed.is_empty() && removed.is_empty();
        let same = same && brought_back.is_empty();
        same && self.settings.is_empty() && !self.reordered
    }

    /// Renders it for people.
    pub fn render(&self, paint: impl Fn(Style, &str) -> String) -> String {
        let mut text = String::new();
        let mut put = |diff: &str| {
            for line in diff.lines() {
                let style = match line.as_bytes().first() {
                    Some(b'+') => Style::Good,
                    Some(b'-') => Style::Bad,
                    _ => Style::Faint,
                };
                text.push_str(&format!("    {}\n", paint(style, line)));
            }
        };
        put(&self.settings);
        for entry in &self.entries {
            let style = match entry.verb {
                "added" | "again" => Style::Good,
                "removed" => Style::Bad,
                _ => Style::Warning,
            };
            let verb = paint(style, &format!("{:7}", entry.verb));
            text.push_str(&format!("{verb} {}  {}\n", entry.id, entry.title));
            for line in entry.diff.lines() {
                let style = match line.as_bytes().first() {
                    Some(b'+') => Style::Good,
                    Some(b'-') => Style::Bad,
                    _ => Style::Faint,
                };
                text.push_str(&format!("    {}\n", paint(style, line)));
            }
        }
        if self.reordered {
            text.push_str("the order of tasks changes\n");
        }
        text
    }
}

fn entries(
    ledger: &Ledger,
    change: &PlanChange,
    difference: &PlanDifference,
) -> Result<Vec<Entry>> {
    let planned: std::collections::BTreeMap<&TaskId, _> = change
        .plan
        .tasks
        .iter()
        .map(|task| (&task.id, task))
        .collect();
    let mut all = Vec::new();
    for id in &difference.added {
        all.push(Entry {
            verb: "added",
            id: id.clone(),
            title: planned
                .get(id)
                .map_or_else(String::new, |task| task.title.clone()),
            diff: String::new(),
        });
    }
    for (verb, ids) in [("changed", &difference.changed), ("kept", &difference.kept)] {
        for id in ids {
            let old = ledger.spec(id)?;
            let state = ledger.board().tasks.get(id).map(|task| task.status.state);
            let state = state.unwrap_or_default();
            let (title, diff) = match (verb, planned.get(id)) {
                ("changed", Some(new)) => (
                    new.title.clone(),
                    unified(&render_task(&old), &render_task(new)),
                ),
                (_, Some(new)) => (
                    format!("is {state}; the plan says otherwise"),
                    unified(&render_task(&old), &render_task(new)),
                ),
                (_, None) => (format!("is {state}; the plan leaves it out"), String::new()),
            };
            all.push(Entry {
                verb,
                id: id.clone(),
                title,
                diff,
            });
        }
    }
    for id in &difference.brought_back {
        let old = ledger.board().tasks.get(id);
        let was = old.map_or("", |old| old.status.state.as_str());
        let reason = old.and_then(|old| old.status.reason.as_deref());
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        all.push(Entry {
            verb: "again",
            id: id.clone(),
            title: format!("was {was}{reason}; it is tried again"),
            diff: String::new(),
        });
    }
    for id in &difference.removed {
        let old = ledger.board().tasks.get(id);
        all.push(Entry {
            verb: "removed",
            id: id.clone(),
            title: old.map_or_else(String::new, |task| task.title.clone()),
            diff: String::new(),
        });
    }
    Ok(all)
}

/// Returns the lines in which two texts differ, with one line around them; empty where they do not.
fn unified(old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let diff = TextDiff::from_lines(old, new);
    let text = diff.unified_diff().context_radius(1).to_string();
    // The place of a change says nothing in a text that nobody has as a file, nor does an empty line.
    text.lines()
        .filter(|line| !line.starts_with("@@") && !line.trim().is_empty())
        .map(|line| format!("{line}\n"))
        .collect()
}
