//! Scopes: tasks that may run at the same time own disjoint paths (D2).

use std::collections::BTreeSet;

use super::super::fields::Notes;
use super::super::finding::Severity;
use super::order::Order;
use crate::model::scope::{Glob, literal_prefix, overlapping};
use crate::model::{Plan, TaskId};

/// The most overlaps that are told one by one.
const MOST_TOLD: usize = 100;

/// The most pairs of globs that are looked at.
const MOST_PAIRS: usize = 20_000_000;

pub(super) fn check(plan: &Plan, order: &Order, settled: &BTreeSet<TaskId>, notes: &mut Notes<'_>) {
    let globs = parse(plan, settled);
    overlaps(plan, order, &globs, notes);
    deliverables(plan, notes);
    anywhere(plan, order, settled, notes);
}

/// A glob of a task.
struct Claim<'p> {
    task: usize,
    place: usize,
    text: &'p str,
    prefix: &'p str,
    glob: Glob,
}

fn parse<'p>(plan: &'p Plan, settled: &BTreeSet<TaskId>) -> Vec<Claim<'p>> {
    let mut globs = Vec::new();
    for (task, spec) in plan.tasks.iter().enumerate() {
        if settled.contains(&spec.id) {
            continue;
        }
        for (place, text) in spec.scope.iter().enumerate() {
            if let Ok(glob) = Glob::parse(text) {
                let prefix = literal_prefix(text);
                globs.push(Claim {
                    task,
                    place,
                    text,
                    prefix,
                    glob,
                });
            }
        }
    }
    // Sorted, what begins with a text stands behind it without a gap.
    globs.sort_by_key(|claim| (claim.prefix, claim.task, claim.place));
    globs
}

/// Two globs can only overlap where one's literal beginning is the beginning of the other's: the stack
/// holds the globs whose beginnings the current one begins with.
fn overlaps(plan: &Plan, order: &Order, globs: &[Claim<'_>], notes: &mut Notes<'_>) {
    let mut stack: Vec<&Claim<'_>> = Vec::new();
    let mut told = BTreeSet::new();
    let mut looked_at = 0;
    for claim in globs {
        while stack
            .last()
            .is_some_and(|below| !claim.prefix.starts_with(below.prefix))
        {
            stack.pop();
        }
        for other in &stack {
            looked_at += 1;
            let pair = (claim.task.min(other.task), claim.task.max(other.task));
            if !order.may_meet(pair.0, pair.1)
                || told.contains(&pair)
                || !overlapping(&claim.glob, &other.glob)
            {
                continue;
            }
            told.insert(pair);
            let (first, second) = if claim.task < other.task {
                (claim, *other)
            } else {
                (*other, claim)
            };
            tell(plan, first, second, notes);
        }
        if told.len() >= MOST_TOLD || looked_at > MOST_PAIRS {
            let message = format!(
                "not all scopes were compared: {} overlaps are told, and there may be more",
                told.len()
            );
            let help = "mend what is told and check again";
            notes.at(Severity::Warning, "tasks", message, help);
            return;
        }
        stack.push(claim);
    }
}

fn tell(plan: &Plan, first: &Claim<'_>, second: &Claim<'_>, notes: &mut Notes<'_>) {
    let (one, other) = (&plan.tasks[first.task].id, &plan.tasks[second.task].id);
    let what = if first.text == second.text {
        format!("both have `{}`", first.text)
    } else {
        format!("`{}` there, `{}` here", first.text, second.text)
    };
    notes.at(
        Severity::Error,
        &format!("tasks[{}].scope[{}]", second.task, second.place),
        format!(
            "task `{other}` may run at the same time as `{one}`, and their scopes overlap: {what}"
        ),
        format!(
            "write `after = [\"{one}\"]` in `{other}`, or give them scopes that have no path in common"
        ),
    );
}

fn deliverables(plan: &Plan, notes: &mut Notes<'_>) {
    for (i, task) in plan.tasks.iter().enumerate() {
        if task.scope.is_empty() {
            continue;
        }
        let parsed = task.scope.iter().map(|glob| Glob::parse(glob));
        let globs: Vec<Glob> = parsed.filter_map(Result::ok).collect();
        for (j, path) in task.deliverables.iter().enumerate() {
            let path = path.trim_end_matches('/');
            // A directory is delivered where anything below it may be written.
            let within = |glob: &Glob| glob.matches(path) || glob.matches(&format!("{path}/x"));
            if !globs.iter().any(within) {
                notes.at(
                    Severity::Error,
                    &format!("tasks[{i}].deliverables[{j}]"),
                    format!(
                        "the deliverable `{path}` is outside the scope of task `{}`",
                        task.id
                    ),
                    format!("add \"{path}\" to its `scope`, or deliver a file within it"),
                );
            }
        }
    }
}

/// A task without a scope may write anywhere, so nothing that runs beside it is safe from it.
fn anywhere(plan: &Plan, order: &Order, settled: &BTreeSet<TaskId>, notes: &mut Notes<'_>) {
    let open = |i: &usize| plan.tasks[*i].scope.is_empty();
    let running = |i: &usize| !settled.contains(&plan.tasks[*i].id);
    let tasks = 0..plan.tasks.len();
    let found: Vec<usize> = tasks
        .filter(|i| open(i) && running(i) && order.may_meet_any(*i))
        .collect();
    let Some(last) = found.last() else { return };
    let first = if settled.is_empty() { found[0] } else { *last };
    let names: Vec<String> = found
        .iter()
        .take(5)
        .map(|i| format!("`{}`", plan.tasks[*i].id))
        .collect();
    let more = match found.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (subject, verb) = match found.len() {
        1 => ("1 task has", "runs"),
        n => (&*format!("{n} tasks have"), "run"),
    };
    notes.at(
        Severity::Warning,
        &format!("tasks[{first}]"),
        format!(
            "{subject} no `scope` and {verb} beside others, which may change the same files: {}{more}",
            names.join(", ")
        ),
        "write for example `scope = [\"src/auth/**\"]`",
    );
}
