//! Reads `go test`: events of `-json` where there are any, otherwise what is printed for people.
//!
//! A panic ends its package's run, so that nothing is known of the tests that were still to come.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Reading;
use super::text::plain;

/// One event; only what is needed of it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    action: String,
    #[serde(default)]
    package: String,
    test: Option<String>,
    #[serde(default)]
    output: String,
}

/// Reads the output of a run.
pub(super) fn read(output: &str) -> Reading {
    let text = plain(output);
    let events: Vec<Event> = text
        .lines()
        .filter(|line| line.starts_with('{'))
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    if events.is_empty() {
        read_lines(&text)
    } else {
        let broken = text.lines().any(is_broken_build);
        let mut reading = read_events(events);
        reading.complete &= !broken;
        reading
    }
}

fn read_events(events: Vec<Event>) -> Reading {
    let mut reading = Reading::default();
    let mut unexplained = false;
    // Tests that are running, and packages with whether a test of theirs has failed.
    let mut running: BTreeSet<String> = BTreeSet::new();
    let mut packages: BTreeMap<String, bool> = BTreeMap::new();
    for event in events {
        let Some(test) = event.test else {
            match event.action.as_str() {
                "fail" => unexplained |= packages.remove(&event.package) != Some(true),
                "pass" | "skip" => {
                    packages.remove(&event.package);
                }
                "build-fail" => unexplained = true,
                "start" => {
                    packages.insert(event.package, false);
                }
                "output" => unexplained |= is_crash(&event.output),
                // What the compiler prints is read from what becomes of the package.
                _ => {}
            }
            continue;
        };
        let id = format!("{} {test}", event.package);
        let failed = packages.entry(event.package).or_default();
        match event.action.as_str() {
            "run" => {
                running.insert(id);
            }
            // What a test printed may look like the end of one that never began.
            "fail" if running.remove(&id) => {
                *failed = true;
                reading.failed.insert(id);
            }
            "pass" if running.remove(&id) => {
                reading.passed.insert(id);
            }
            "skip" => {
                running.remove(&id);
            }
            "output" => unexplained |= is_crash(&event.output),
            // It is paused or goes on.
            _ => {}
        }
    }
    reading.complete = !unexplained && running.is_empty() && packages.is_empty();
    reading
}

fn read_lines(text: &str) -> Reading {
    let mut reading = Reading::default();
    let (mut failed, mut passed) = (BTreeSet::new(), BTreeSet::new());
    let (mut unexplained, mut last) = (false, "");
    for line in text.lines() {
        if !line.trim().is_empty() {
            last = line;
        }
        unexplained |= is_crash(line) || is_broken_build(line);
        let told = line.trim_start();
        if let Some(test) = told.strip_prefix("--- FAIL: ").and_then(timed) {
            failed.insert(test);
        } else if let Some(test) = told.strip_prefix("--- PASS: ").and_then(timed) {
            passed.insert(test);
        } else if let Some((word, package)) = package(line) {
            let id = |test: &str| format!("{package} {test}");
            if word == "FAIL" {
                unexplained |= failed.is_empty();
                reading.failed.extend(failed.iter().map(|test| id(test)));
            }
            reading.passed.extend(passed.iter().map(|test| id(test)));
            failed.clear();
            passed.clear();
        }
    }
    let whole = last == "FAIL" || last.starts_with("FAIL\t");
    reading.complete = whole && !unexplained && failed.is_empty();
    reading
}

/// Reads `TestName (0.00s)`.
fn timed(rest: &str) -> Option<&str> {
    let (test, time) = rest.rsplit_once(" (")?;
    time.ends_with("s)").then_some(test)
}

/// Reads `FAIL\texample.com/sums\t0.004s` and `ok  \texample.com/sums\t0.004s`.
fn package(line: &str) -> Option<(&str, &str)> {
    let (word, rest) = line.split_once('\t')?;
    let word = word.trim_end();
    let (package, _) = rest.split_once('\t')?;
    ["FAIL", "ok"].contains(&word).then_some((word, package))
}

fn is_crash(line: &str) -> bool {
    line.starts_with("panic: ") || line.starts_with("fatal error: ")
}

fn is_broken_build(line: &str) -> bool {
    line.starts_with("FAIL\t") && line.ends_with(" failed]")
}
