//! What a coder is told when its work is sent back: enough to see what is wrong, and bounded.

use std::fmt::Write as _;

use anyhow::Result;

pub(super) use super::conflict::Sides;
use super::tester::Red;
use crate::git::{ConflictFile, Oid, Repo};

/// Bounds of findings: they go into the ledger and into the next attempt's prompt.
const MOST_BYTES: usize = 24 * 1024;
const MOST_OUTPUT_LINES: usize = 120;
const MOST_TOUCHING: usize = 8;

/// Returns reason and findings of a conflict: files, hunks, and whose work it conflicts with.
pub(super) fn of_conflict(
    repo: &Repo,
    sides: &Sides<'_>,
    files: &[ConflictFile],
) -> Result<(String, String)> {
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let shown = names[..names.len().min(3)].join(", ");
    let more = match names.len().saturating_sub(3) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let others = touching(repo, sides, &names)?;
    let with = match others.first() {
        Some(other) => format!(" with {}", other.name),
        None => String::new(),
    };
    let reason = format!("conflicts{with} in {shown}{more}");
    let mut text = format!(
        "{} ({}) does not merge into {} ({}).\n",
        sides.branch,
        brief(sides.head),
        sides.target,
        brief(sides.tip)
    );
    for file in files {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{}: {}\n", file.path, file.kind);
        if !file.message.is_empty() {
            let _ = writeln!(text, "{}", file.message);
        }
        for other in others
            .iter()
            .filter(|other| other.paths.contains(&file.path))
        {
            let _ = writeln!(
                text,
                "changed there by {} ({})",
                other.name,
                brief(other.commit)
            );
        }
        for hunk in &file.hunks {
            let hunk = hunk
                .replace(&sides.tip.to_string(), sides.target)
                .replace(&sides.head.to_string(), sides.branch);
            let _ = writeln!(text, "{hunk}");
        }
    }
    let _ = write!(
        text,
        "\nMerge {} into {}, decide each place, commit, and bring it in again.",
        sides.target, sides.branch
    );
    Ok((reason, bounded(text)))
}

/// Returns reason and findings of work that was taken back out and does not merge again as a whole.
pub(super) fn of_comeback(sides: &Sides<'_>, files: &[ConflictFile]) -> (String, String) {
    let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let shown = names[..names.len().min(3)].join(", ");
    let reason = format!("was taken back out, and as a whole conflicts in {shown}");
    let (branch, target) = (sides.branch, sides.target);
    let text = format!(
        "{branch} {reason}.\n\nMerge {target} into {branch}, which takes its work out there too, bring that back \
         with `git revert` of the commit that took it out, decide each place, commit, and submit it again."
    );
    (reason, bounded(text))
}

/// Failing tests that findings name.
const MOST_TESTS: usize = 50;

/// Returns the findings of a failing test.
pub(super) fn of_test(sides: &Sides<'_>, command: &str, red: &Red) -> String {
    let then = match red.is_untested {
        true => String::from("but it cannot be tested then"),
        false => format!("but then `{command}` fails"),
    };
    let mut text = format!(
        "{} ({}) merges into {} ({}), {then}",
        sides.branch,
        brief(sides.head),
        sides.target,
        brief(sides.tip),
    );
    if red.why.is_empty() {
        text.push('.');
    } else {
        let _ = write!(text, ": {}.", red.why);
    }
    if !red.failing.is_empty() {
        text.push_str("\n\nFailing with it, and not without:\n");
        for name in red.failing.iter().take(MOST_TESTS) {
            let _ = writeln!(text, "- {name}");
        }
        let more = red.failing.len().saturating_sub(MOST_TESTS);
        if more > 0 {
            let _ = writeln!(text, "- … and {more} more");
        }
    }
    let _ = write!(text, "\n\n{}", red.output);
    bounded(text)
}

/// A commit on the target that touched a path in conflict.
struct Touching {
    commit: Oid,
    /// The task, or the commit's subject where it has none.
    name: String,
    paths: Vec<String>,
}

/// Returns the commits that the target has and the branch has not, which touched some paths, newest first.
fn touching(repo: &Repo, sides: &Sides<'_>, paths: &[&str]) -> Result<Vec<Touching>> {
    let mut found = Vec::new();
    for commit in repo.touching(sides.head, sides.tip, paths, MOST_TOUCHING)? {
        let name = commit.tasks.first().map_or_else(
            || format!("`{}`", commit.subject),
            |task| format!("task {task}"),
        );
        found.push(Touching {
            commit: commit.id,
            name,
            paths: commit.paths,
        });
    }
    Ok(found)
}

/// Returns the beginning of a commit's id.
pub(super) fn brief(commit: Oid) -> String {
    commit.to_hex_with_len(12).to_string()
}

/// Makes a program's output safe to show and store: no escape sequences, no control characters, one state
/// of each overwritten line, the last lines only.
pub(super) fn clean(output: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in output.split('\n') {
        // A progress bar writes over its line; what stands in the end counts.
        let line = line.trim_end_matches('\r');
        let last = line.rsplit('\r').next().unwrap_or(line);
        lines.push(without_escapes(last).trim_end().to_owned());
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    let from = lines.len().saturating_sub(MOST_OUTPUT_LINES);
    lines[from..].join("\n")
}

fn without_escapes(line: &str) -> String {
    let (mut text, mut chars) = (String::new(), line.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                // CSI: parameters until a letter or other final byte.
                Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                // OSC: until BEL or the string terminator.
                Some(']') => {
                    while let Some(c) = chars.next() {
                        if c == '\u{7}' || c == '\u{1b}' && chars.next_if_eq(&'\\').is_some() {
                            break;
                        }
                    }
                }
                // A sequence of two characters, or the end of the line.
                _ => {}
            },
            '\t' => text.push(c),
            c if c.is_control() => {}
            c => text.push(c),
        }
    }
    text
}

/// Keeps the beginning and the end of a long text.
fn bounded(text: String) -> String {
    if text.len() <= MOST_BYTES {
        return text;
    }
    let half = MOST_BYTES / 2;
    let boundary = |at: &usize| text.is_char_boundary(*at);
    let head = (0..=half).rev().find(boundary).unwrap_or(0);
    let tail = (text.len() - half..=text.len())
        .find(boundary)
        .unwrap_or(text.len());
    format!("{}\n…\n{}", &text[..head], &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_stripped_of_escapes_and_overwritten_lines() {
        let text =
            "\u{1b}[31mred\u{1b}[0m\r\n\u{1b}]0;title\u{7}10%\r50%\r100% done\n\u{8}x\u{0}\ty\n\n";
        assert_eq!(clean(text), "red\n100% done\nx\ty");
        assert_eq!(clean("\u{1b}"), "");
        assert_eq!(clean("\u{1b}["), "");
    }

    #[test]
    fn output_is_cut_to_its_end() {
        let text = (0..1000).map(|n| format!("{n}\n")).collect::<String>();
        let kept = clean(&text);
        assert_eq!(kept.lines().count(), MOST_OUTPUT_LINES);
        assert!(kept.ends_with("999"));
    }

    #[test]
    fn long_findings_keep_both_ends() {
        let text = format!("begin{}end", "é".repeat(MOST_BYTES));
        let kept = bounded(text);
        assert!(kept.len() <= MOST_BYTES + 8);
        assert!(kept.starts_with("begin") && kept.ends_with("end"));
    }
}
