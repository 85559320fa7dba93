//! Reads `JUnit` XML reports: cases with `failure` or `error` in them, by class and name.

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::Reading;

/// Elements that are open at a time; no report comes near it.
const MOST_DEPTH: usize = 256;

/// One open element.
enum Open {
    /// A suite: failures and errors that it says it has, and those that were found.
    Suite {
        name: String,
        said: usize,
        found: usize,
    },
    /// A case.
    Case {
        test: String,
        failed: bool,
        skipped: bool,
    },
    /// Anything else.
    Other,
}

/// Reads the texts of reports; all of them must be whole.
pub(super) fn read(reports: &[String]) -> Reading {
    let mut reading = Reading {
        complete: !reports.is_empty(),
        ..Reading::default()
    };
    for report in reports {
        let whole = read_report(report, &mut reading);
        reading.complete &= whole.is_some();
    }
    reading
}

/// Returns something if the report is whole and its sums are right.
fn read_report(report: &str, reading: &mut Reading) -> Option<()> {
    let mut reader = Reader::from_str(report);
    let (mut open, mut seen): (Vec<Open>, bool) = (Vec::new(), false);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) => {
                seen = true;
                begin(&element, &mut open)?;
            }
            Event::Empty(element) => {
                seen = true;
                begin(&element, &mut open)?;
                end(&mut open, reading)?;
            }
            Event::End(_) => end(&mut open, reading)?,
            Event::Eof => return (seen && open.is_empty()).then_some(()),
            // Messages and stack traces are not needed.
            _ => {}
        }
    }
}

fn begin(element: &BytesStart<'_>, open: &mut Vec<Open>) -> Option<()> {
    if open.len() >= MOST_DEPTH {
        return None;
    }
    let next = match element.local_name().as_ref() {
        "testsuite" | "testsuites" => Open::Suite {
            name: attribute(element, "name").unwrap_or_default(),
            said: count(element, "failures") + count(element, "errors"),
            found: 0,
        },
        "testcase" => {
            let class = attribute(element, "classname").filter(|class| !class.is_empty());
            let suite = || {
                open.iter().rev().find_map(|element| match element {
                    Open::Suite { name, .. } if !name.is_empty() => Some(name.clone()),
                    _ => None,
                })
            };
            let name = attribute(element, "name")?;
            Open::Case {
                test: match class.or_else(suite) {
                    Some(class) => format!("{class}::{name}"),
                    None => name,
                },
                failed: false,
                skipped: false,
            }
        }
        "failure" | "error" => {
            // One that stands beside cases is of the suite itself, which the sums then show.
            if let Some(Open::Case { failed, .. }) = open.last_mut() {
                *failed = true;
                for element in open.iter_mut() {
                    if let Open::Suite { found, .. } = element {
                        *found += 1;
                    }
                }
            }
            Open::Other
        }
        "skipped" => {
            if let Some(Open::Case { skipped, .. }) = open.last_mut() {
                *skipped = true;
            }
            Open::Other
        }
        _ => Open::Other,
    };
    open.push(next);
    Some(())
}

fn end(open: &mut Vec<Open>, reading: &mut Reading) -> Option<()> {
    match open.pop()? {
        Open::Suite { said, found, .. } => (said <= found).then_some(()),
        Open::Case {
            test,
            failed,
            skipped,
        } => {
            if failed {
                reading.failed.insert(test);
            } else if !skipped {
                reading.passed.insert(test);
            }
            Some(())
        }
        Open::Other => Some(()),
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).ok()??;
    Some(
        found
            .normalized_value(XmlVersion::Implicit1_0)
            .ok()?
            .into_owned(),
    )
}

fn count(element: &BytesStart<'_>, name: &str) -> usize {
    let said = attribute(element, name).and_then(|said| said.trim().parse().ok());
    said.unwrap_or(0)
}
