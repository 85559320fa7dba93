//! What a ledger's history says, held against what commands have answered: read with plain git alone and judged by
//! rules that know nothing of the program's own model.
//!
//! Twelve agents' commands in four clones are killed, stopped for longer than a lease and cut off from their remote,
//! each clone with a clock of its own. `ORCH_HISTORIES=<first>..<last>` runs other seeds:
//! `ORCH_HISTORIES=0..300 cargo test --locked --test tests -- checker::fleets`.

mod fleet;
pub mod read;
pub mod rules;

use read::Step;
use rules::{Word, Words};

#[test]
fn fleets_of_clones_keep_a_legal_history_whatever_happens_to_them() {
    let text = std::env::var("ORCH_HISTORIES").unwrap_or_else(|_| String::from("1..3"));
    let (first, last) = text.split_once("..").unwrap();
    let seeds: std::ops::Range<u64> = first.parse().unwrap()..last.parse().unwrap();
    let mut failed = Vec::new();
    for seed in seeds {
        let wrong = fleet::run(seed);
        if !wrong.is_empty() {
            eprintln!("seed {seed}: {wrong:#?}");
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "seeds {failed:?} failed");
}

/// A history of one task, as commits would tell it: event, attempt, agent, state before and after.
fn history(lines: &[(&str, u32, &str, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (n, (event, attempt, agent, state)) in lines.iter().enumerate() {
        let record = read::Record {
            state: (*state).to_owned(),
            attempt: *attempt,
            agent: Some((*agent).to_owned()),
            machine: Some(String::from("m")),
            head: ["submitted", "merged"]
                .contains(state)
                .then(|| String::from("c0de")),
        };
        steps.push(Step {
            id: format!("{n}"),
            parents: steps
                .last()
                .map(|step| vec![step.id.clone()])
                .unwrap_or_default(),
            event: Some((*event).to_owned()),
            op: Some(format!("op-{n}")),
            tasks: vec![String::from("t")],
            changed: vec![(String::from("t"), Some(record))],
        });
    }
    steps
}

const GOOD: &[(&str, u32, &str, &str)] = &[
    ("dispatch", 0, "", "ready"),
    ("claim", 1, "1.1", "claimed"),
    ("start", 1, "1.1", "in_progress"),
    ("submit", 1, "1.1", "submitted"),
    ("merge", 1, "1.1", "merged"),
];

fn wrong(steps: &[Step], words: &[Word]) -> Vec<String> {
    rules::check(steps, &Words(words.to_vec()))
}

#[test]
fn a_good_history_is_told_from_every_kind_of_bad_one() {
    let good = history(GOOD);
    assert_eq!(wrong(&good, &[]), Vec::<String>::new());
    let told = |change: &dyn Fn(&mut Vec<Step>)| {
        let mut bad = good.clone();
        change(&mut bad);
        wrong(&bad, &[]).join("\n")
    };
    let record = |steps: &mut Vec<Step>, n: usize, change: &dyn Fn(&mut read::Record)| {
        change(steps[n].changed[0].1.as_mut().unwrap());
    };
    for (kind, said) in [
        (
            "a side line",
            told(&|steps| steps[3].parents[0] = String::from("1")),
        ),
        (
            "done twice",
            told(&|steps| steps[3].op = Some(String::from("op-2"))),
        ),
        ("names", told(&|steps| steps[3].tasks.clear())),
        (
            "may not",
            told(&|steps| steps[3].event = Some(String::from("claim"))),
        ),
        (
            "may not",
            told(&|steps| record(steps, 2, &|r| r.state = String::from("merged"))),
        ),
        (
            "attempt",
            told(&|steps| record(steps, 1, &|r| r.attempt = 2)),
        ),
        (
            "attempt",
            told(&|steps| record(steps, 2, &|r| r.attempt = 0)),
        ),
        (
            "changes hands",
            told(&|steps| record(steps, 2, &|r| r.agent = Some(String::from("1.2")))),
        ),
        (
            "nobody",
            told(&|steps| record(steps, 1, &|r| r.agent = None)),
        ),
        (
            "another head",
            told(&|steps| record(steps, 4, &|r| r.head = Some(String::from("beef")))),
        ),
        (
            "by hand",
            told(&|steps| (steps[3].event, steps[3].op) = (None, None)),
        ),
    ] {
        assert!(said.contains(kind), "{kind}: {said}");
    }
}

#[test]
fn an_agent_holds_one_task_at_a_time() {
    let mut two = history(&GOOD[..2]);
    for (n, step) in history(&GOOD[..2]).into_iter().enumerate() {
        let before = two.last().unwrap().id.clone();
        let changed = step
            .changed
            .into_iter()
            .map(|(_, record)| (String::from("u"), record));
        two.push(Step {
            id: format!("u{n}"),
            parents: vec![before],
            op: Some(format!("u{n}")),
            tasks: vec![String::from("u")],
            changed: changed.collect(),
            ..step
        });
    }
    assert!(wrong(&two, &[]).join("\n").contains("holds t as well"));
}

#[test]
fn what_was_answered_is_there_once_and_what_was_refused_is_not() {
    let good = history(GOOD);
    let word = |event: &str, attempt, answer| Word {
        event: event.to_owned(),
        task: String::from("t"),
        attempt: Some(attempt),
        answer,
    };
    use rules::Answer::{Done, Refused, Unknown};
    assert!(wrong(&good, &[word("submit", 1, Done), word("start", 2, Refused)]).is_empty());
    let lost = wrong(&good, &[word("release", 1, Done)]).join("\n");
    assert!(lost.contains("was answered and is there 0 times"), "{lost}");
    let there = wrong(&good, &[word("submit", 1, Refused)]).join("\n");
    assert!(there.contains("was refused and is there"), "{there}");
    // Somebody was killed while saying it first.
    let late = [word("submit", 1, Unknown), word("submit", 1, Refused)];
    assert!(wrong(&good, &late).is_empty());
}
