//! What must hold of a history, whoever wrote it.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{Record, Step};

/// What a command was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Done,
    Refused,
    /// Killed, or cut off.
    Unknown,
}

/// What somebody wanted of the ledger, and was answered.
#[derive(Debug, Clone)]
pub struct Word {
    pub event: String,
    pub task: String,
    /// None where any attempt will do.
    pub attempt: Option<u32>,
    pub answer: Answer,
}

#[derive(Debug, Clone, Default)]
pub struct Words(pub Vec<Word>);

/// States in which an agent holds a task.
const HELD: [&str; 3] = ["claimed", "in_progress", "blocked"];

/// What each event may make of a task in which state.
const LEGAL: &[(&str, &[&str], &[&str])] = &[
    ("dispatch", &["pending", "failed"], &["ready", "gap"]),
    ("claim", &["ready"], &["claimed"]),
    ("start", &["claimed"], &["in_progress"]),
    ("block", &["claimed", "in_progress"], &["blocked"]),
    ("unblock", &["blocked"], &["in_progress", "ready"]),
    ("release", &HELD, &["ready"]),
    (
        "retry",
        &["gap", "failed", "blocked"],
        &["pending", "ready"],
    ),
    ("expire", &HELD, &["ready", "blocked"]),
    ("fail", &HELD, &["failed", "gap"]),
    ("submit", &["claimed", "in_progress"], &["submitted"]),
    ("accept", &["submitted"], &["accepted"]),
    ("merge", &["submitted", "accepted"], &["merged"]),
    ("reject", &["submitted", "accepted"], &["ready", "failed"]),
    ("escalate", &["submitted", "accepted"], &["blocked"]),
];

/// Returns what is wrong with a history, and with what was answered about it.
pub fn check(steps: &[Step], words: &Words) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut ops, mut tasks) = (BTreeSet::new(), BTreeMap::<String, Record>::new());
    let mut last: Option<&str> = None;
    for step in steps {
        if step.parents.iter().map(String::as_str).ne(last) {
            wrong.push(format!("{} is a side line of {last:?}", step.id));
        }
        last = Some(&step.id);
        match (&step.event, &step.op) {
            (Some(_), Some(op)) if !ops.insert(op) => {
                wrong.push(format!("{}: operation {op} was done twice", step.id));
            }
            (Some(_), Some(_)) => {}
            _ => wrong.push(format!("{} was made by hand", step.id)),
        }
        for (task, after) in &step.changed {
            if !step.tasks.contains(task) {
                wrong.push(format!("{} changes {task}, which it never names", step.id));
            }
            let before = tasks.get(task).cloned().unwrap_or_else(pending);
            let after = after.clone().unwrap_or_else(pending);
            let faults = [legal(step, &before, &after), rises(step, &before, &after)];
            let faults = faults
                .into_iter()
                .chain([held(&before, &after), merged(&before, &after)]);
            let tell = |fault| format!("{} {:?} of {task}: {fault}", step.id, step.event);
            wrong.extend(faults.flatten().map(tell));
            tasks.insert(task.clone(), after);
        }
        wrong.extend(of_agents(&tasks).map(|fault| format!("{}: {fault}", step.id)));
    }
    wrong.extend(answered(steps, words));
    wrong
}

fn pending() -> Record {
    Record {
        state: String::from("pending"),
        ..Record::default()
    }
}

fn legal(step: &Step, before: &Record, after: &Record) -> Option<String> {
    let (from, to) = (before.state.as_str(), after.state.as_str());
    let event = step.event.as_deref()?;
    // A word about a task, or a plan that it is in, moves nothing.
    let may = from == to && !["claim", "start", "submit", "merge"].contains(&event)
        || LEGAL.iter().any(|(legal, befores, afters)| {
            *legal == event && befores.contains(&from) && afters.contains(&to)
        });
    (!may).then(|| format!("{event} may not make {to} of {from}"))
}

fn rises(step: &Step, before: &Record, after: &Record) -> Option<String> {
    let wanted = before.attempt + u32::from(step.event.as_deref() == Some("claim"));
    (after.attempt != wanted).then(|| {
        format!(
            "its attempt goes from {} to {}",
            before.attempt, after.attempt
        )
    })
}

/// A holder stays the same until it lets go.
fn held(before: &Record, after: &Record) -> Option<String> {
    let is_held = |record: &Record| ["claimed", "in_progress"].contains(&record.state.as_str());
    let holder = |record: &Record| (record.agent.clone(), record.machine.clone());
    if is_held(after) && (after.agent.is_none() || after.machine.is_none()) {
        return Some(String::from("nobody holds it"));
    }
    let changes = is_held(before)
        && (is_held(after) || after.state == "submitted")
        && holder(before).0 != holder(after).0;
    changes.then(|| String::from("it changes hands"))
}

fn merged(before: &Record, after: &Record) -> Option<String> {
    let differs = after.state == "merged" && before.head != after.head;
    differs.then(|| String::from("another head is merged than was handed in"))
}

/// Every agent holds one task at most.
fn of_agents(tasks: &BTreeMap<String, Record>) -> impl Iterator<Item = String> {
    let mut holds: BTreeMap<&str, &str> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (task, record) in tasks {
        if HELD.contains(&record.state.as_str())
            && let Some(agent) = &record.agent
            && let Some(other) = holds.insert(agent, task)
        {
            wrong.push(format!("{agent} holds {other} as well as {task}"));
        }
    }
    wrong.into_iter()
}

/// What was answered is there once, and what was refused is not.
fn answered(steps: &[Step], Words(words): &Words) -> Vec<String> {
    let mut wrong = Vec::new();
    for word in words {
        let Word {
            event,
            task,
            attempt,
            answer,
        } = word;
        let is_it = |step: &&Step| {
            let of_attempt = |record: &Record| attempt.is_none_or(|k| record.attempt == k);
            let concerns = |(id, record): &(String, Option<Record>)| {
                id == task && record.as_ref().is_some_and(of_attempt)
            };
            step.event.as_ref() == Some(event) && step.changed.iter().any(concerns)
        };
        let times = steps.iter().filter(is_it).count();
        let what = || format!("{event} of {task}, attempt {attempt:?},");
        if *answer == Answer::Done && times != 1 {
            wrong.push(format!(
                "{} was answered and is there {times} times",
                what()
            ));
        }
        let said_before = words.iter().any(|other| {
            (&other.event, &other.task, other.attempt) == (event, task, *attempt)
                && other.answer != Answer::Refused
        });
        if *answer == Answer::Refused && times > 0 && !said_before {
            wrong.push(format!("{} was refused and is there", what()));
        }
    }
    wrong
}
