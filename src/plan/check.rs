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
use crate::model::bounds::{MOST_PLAN, MOST_TASK, MOST_TASKS, told};
use crate::model::lines::plain_lines;
use crate::model::{Plan, TaskId, TaskSpec};
use order::Order;

/// Checks the text of a plan; `stem` names the run where the plan does not.
pub fn check_text(bytes: &[u8], stem: &str) -> Checked {
    let refused = |notes: Notes<'_>| Checked {
        plan: None,
        findings: notes.finish(),
    };
    if bytes.len() > MOST_PLAN {
        let mut notes = Notes::new("");
        let message = format!(
            "the plan is larger than {}, which is all that is read",
            told(MOST_PLAN)
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
    let text = &*plain_lines(text);
    let mut notes = Notes::new(text);
    let Some(table) = parse(text, &mut notes) else {
        return refused(notes);
    };
    let draft = read_plan(&table, &mut notes, stem);
    if text.len() > MOST_TASK {
        check_sizes(&draft.plan.tasks, &mut notes);
    }
    if has_too_many(&draft.plan, "tasks", &mut notes) {
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
    if !has_too_many(&draft.plan, &key, &mut notes) {
        check_draft(&draft, settled, &mut notes);
    }
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

/// Notes that a plan has more tasks than are looked at.
fn has_too_many(plan: &Plan, key: &str, notes: &mut Notes<'_>) -> bool {
    let number = plan.tasks.len();
    if number > MOST_TASKS {
        let message = format!("the plan has {number} tasks; at most {MOST_TASKS} are allowed");
        let help = "split it into plans that follow each other";
        notes.at(Severity::Error, key, message, help);
    }
    number > MOST_TASKS
}

/// Notes tasks whose file in the ledger would be too large to be read again.
fn check_sizes(tasks: &[TaskSpec], notes: &mut Notes<'_>) {
    for (position, task) in tasks.iter().enumerate() {
        if toml::to_string(task).is_ok_and(|text| text.len() <= MOST_TASK) {
            continue;
        }
        let message = format!("task `{}` is larger than {}", task.id, told(MOST_TASK));
        let help = "put long texts into files of the repository, and name them";
        notes.at(
            Severity::Error,
            &format!("tasks[{position}]"),
            message,
            help,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_at_most_twenty_thousand_tasks() {
        let text = |number: usize| -> String {
            let task = |i| {
                format!(
                    "[[tasks]]\nid = \"t{i}\"\ntitle = \"T\"\nscope = [\"t\"]\nrun = \"true\"\nsuccess = [\"true\"]\n"
                )
            };
            (0..number).map(task).collect()
        };
        let found = check_text(text(20_001).as_bytes(), "x").findings;
        let messages: Vec<&str> = found.iter().map(|found| found.message.as_str()).collect();
        let told = "the plan has 20001 tasks; at most 20000 are allowed";
        assert_eq!(messages, [told], "nothing else is looked for");
        // Nor by adding to it.
        let one = check_text(text(1).as_bytes(), "x").plan.unwrap().tasks[0].clone();
        let mut plan = Plan::default();
        let many = (0..20_000).map(|i| TaskSpec {
            id: format!("t{i}").parse().unwrap(),
            ..one.clone()
        });
        plan.tasks.extend(many);
        assert!(!has_too_many(&plan, "tasks", &mut Notes::new("")));
        let found = check_added(&plan, &one, &BTreeSet::new());
        assert_eq!(found[0].message, told);
    }
}
