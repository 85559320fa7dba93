//! Reads pytest's short test summary, whose counts in the last line say whether all are named.

use super::Reading;
use super::text::{number, plain};

/// Reads the output of a run.
pub(super) fn read(output: &str) -> Reading {
    let text = plain(output);
    let mut reading = Reading::default();
    let (mut named, mut unnamed, mut interrupted, mut begun) = ([0, 0], false, false, false);
    let mut counted = None;
    for line in text.lines() {
        if is_heading(line) {
            // Only the last one is pytest's own: a test may have printed another.
            reading = Reading::default();
            (named, unnamed, counted, begun) = ([0, 0], false, None, true);
        } else if let Some(counts) = counts(line) {
            counted = Some(counts);
        } else if let Some((word, rest)) = line.split_once(' ') {
            let of = match word {
                "FAILED" if begun => 0,
                "ERROR" if begun => 1,
                "PASSED" if begun => {
                    reading.passed.extend(test(rest));
                    continue;
                }
                word if word.starts_with("INTERNALERROR") || word.starts_with("!!!!") => {
                    interrupted = true;
                    continue;
                }
                _ => continue,
            };
            named[of] += 1;
            match test(rest) {
                Some(test) => {
                    reading.failed.insert(test);
                }
                // A file that could not be read: what it would have tested is not known.
                None => unnamed = true,
            }
        }
    }
    reading.complete = begun && counted == Some(named) && !unnamed && !interrupted;
    reading
}

fn is_heading(line: &str) -> bool {
    line.starts_with("===") && line.trim_matches('=') == " short test summary info "
}

/// Returns the failures and errors that a last line counts:
/// `=== 12 failed, 3 passed, 2 errors in 0.13s ===`, without its rules if pytest is quiet.
fn counts(line: &str) -> Option<[usize; 2]> {
    let (said, time) = line.trim_matches('=').trim().rsplit_once(" in ")?;
    time.starts_with(|c: char| c.is_ascii_digit())
        .then_some(())?;
    let mut counts = [0, 0];
    for part in said.split(", ") {
        let (count, what) = number(part)?;
        match what.strip_prefix(' ')? {
            "failed" => counts[0] = count,
            "error" | "errors" => counts[1] = count,
            what if what.chars().all(|c| c.is_ascii_lowercase() || c == ' ') => {}
            _ => return None,
        }
    }
    Some(counts)
}

/// Returns the test that a line names before its message; `None` where it names none.
fn test(rest: &str) -> Option<String> {
    let dash = rest.find(" - ").unwrap_or(rest.len());
    let has_parameters = rest.find('[').is_some_and(|open| open < dash);
    let end = if !has_parameters {
        dash
    } else if let Some(close) = rest.find("] - ") {
        // Parameters may hold dashes as well.
        close + 1
    } else if rest.ends_with(']') {
        rest.len()
    } else {
        dash
    };
    let name = rest[..end].trim_end();
    name.contains("::").then(|| name.to_owned())
}
