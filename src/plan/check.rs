//! Checks of a plan as a whole: names, order, scopes, shape.

mod crew;
mod graph;
mod levels;
mod locks;
mod names;
mod order;
mod scopes;
mod shape;
mod work;

use std::collections::BTreeSet;

use super::fields::Notes;
use super::finding::{Finding, Severity};
use super::read::{Checked, Draft, parse, read_plan};
use crate::model::{Plan, TaskId, TaskSpec};
use order::Order;

/// The largest text that is read.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The most tasks of one plan: which may run beside which is kept in a square of bits.
const MOST_TASKS: usize = 20_000;

/// Checks the text of a plan; `stem` names the run where the plan does not.
pub fn check_text(bytes: &[u8], stem: &str) -> Checked {
    let refused = |notes: Notes<'_>| Checked {
        plan: None,
        findings: notes.finish(),
    };
    if bytes.len() > MOST_BYTES {
        let mut notes = Notes::new("");
        let message = format!(
            "the plan has {} bytes; at most {MOST_BYTES} are read",
            bytes.len()
        );
        notes.note(
            Severity::Error,
            &(0..0),
            "",
            message,
            "split it into plans that follow each other",
        );
        return refused(notes);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let mut notes = Notes::new(&good);
            notes.note(
                Severity::Error,
                &(good.len()..good.len()),
                "",
                "the plan is not UTF-8 from here on",
                "save the file as UTF-8",
            );
            return refused(notes);
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut notes = Notes::new(text);
    let Some(table) = parse(text, &mut notes) else {
        return refused(notes);
    };
    let draft = read_plan(&table, &mut notes, stem);
    if draft.plan.tasks.len() > MOST_TASKS {
        let message = format!(
            "the plan has {} tasks; at most {MOST_TASKS} are allowed",
            draft.plan.tasks.len()
        );
        let help = "split it into plans that follow each other";
        notes.at(Severity::Error, "tasks", message, help);
        return refused(notes);
    }
    check_draft(&draft, &BTreeSet::new(), &mut notes);
    let findings = notes.finish();
    let is_good = !findings
        .iter()
        .any(|found| found.severity == Severity::Error);
    Checked {
        plan: is_good.then_some(draft.plan),
        findings,
    }
}

/// Checks a task that is to be added to a plan: returns what is wrong with it there.
///
/// Tasks in `settled` run no more, so nothing can get in their way.
pub fn check_added(plan: &Plan, task: &TaskSpec, settled: &BTreeSet<TaskId>) -> Vec<Finding> {
    let mut draft = Draft {
        plan: plan.clone(),
        ..Draft::default()
    };
    draft.plan.tasks.push(task.clone());
    let key = format!("tasks[{}]", plan.tasks.len());
    let mut notes = Notes::new("");
    check_draft(&draft, settled, &mut notes);
    let mut findings = notes.finish();
    findings.retain(|found| found.key.starts_with(&key));
    for found in &mut findings {
        let rest = found.key[key.len()..].trim_start_matches('.');
        found.key = rest.to_owned();
    }
    findings
}

fn check_draft(draft: &Draft, settled: &BTreeSet<TaskId>, notes: &mut Notes<'_>) {
    let plan = &draft.plan;
    names::check(plan, draft.unsure, notes);
    let order = Order::new(plan);
    order::check(plan, &order, notes);
    scopes::check(plan, &order, settled, notes);
    shape::check(plan, notes);
    work::check(plan, notes);
    crew::check(plan, notes);
    levels::check(plan, notes);
    locks::check(plan, notes);
}
