//! Reads `cargo nextest run`: a line for each test, status in the first twelve columns, and a summary.
//!
//! What tests printed is indented, so it cannot be taken for either.

use super::Reading;
use super::text::{number, plain};

/// Words in a status that do not stand for a failure.
const GOOD: [&str; 4] = ["PASS", "FLAKY", "SLOW", "SKIP"];

/// Reads the output of a run.
pub(super) fn read(output: &str) -> Reading {
    let text = plain(output);
    let mut reading = Reading::default();
    let mut expected = None;
    let (mut retried, mut ended) = (Vec::new(), false);
    for line in text.lines() {
        if let Some(summary) = line.strip_prefix("     Summary [") {
            expected = failures(summary);
            // The summary names each failure once more, and after its last try.
            reading.failed.clear();
            retried.clear();
            ended = false;
        } else if line == "error: test run failed" {
            ended = true;
        } else if let Some((status, test)) = status(line) {
            if status.contains("PASS") || status == "LEAK" {
                reading.passed.insert(test);
            } else if status.starts_with("TRY ") && expected.is_none() {
                retried.push(test);
            } else if !GOOD.iter().any(|good| status.contains(good)) {
                reading.failed.insert(test);
            }
        }
    }
    if expected.is_none() {
        let never_passed = |test: &String| !reading.passed.contains(test);
        let failed: Vec<String> = retried.into_iter().filter(never_passed).collect();
        reading.failed.extend(failed);
    }
    reading.complete = ended && expected == Some(reading.failed.len());
    reading
}

/// Returns how many tests a summary says have failed; `None` where not all were run.
///
/// `   0.060s] 11 tests run: 6 passed (1 slow), 4 failed, 1 timed out, 1 skipped`
fn failures(summary: &str) -> Option<usize> {
    let (_, said) = summary.split_once("] ")?;
    let (run, said) = number(said)?;
    let said = said
        .strip_prefix(" tests run: ")
        .or_else(|| said.strip_prefix(" test run: "))?;
    let (passed, said) = number(said)?;
    said.starts_with(" passed").then_some(())?;
    run.checked_sub(passed)
}

/// Reads `        FAIL [   0.014s] ( 1/11) alpha tests::name`; the test is named by its binary and itself.
fn status(line: &str) -> Option<(&str, String)> {
    let status = line.get(..12)?.trim_start();
    let rest = line.get(12..)?.strip_prefix(" [")?;
    let begins = status.starts_with(|c: char| c.is_ascii_uppercase());
    let (_, rest) = rest.split_once("] ")?;
    // How many have been run is not said by every version.
    let rest = match rest.strip_prefix('(') {
        Some(counted) => counted.split_once(')')?.1,
        None => rest,
    };
    let (binary, name) = rest.trim_start().split_once(' ')?;
    let pending = matches!(status, "TERMINATING" | "START" | "SETUP" | "CANCELING");
    (begins && !pending).then(|| (status, format!("{binary} {name}")))
}
