//! An assembly's report as Markdown.

use std::fmt::Write as _;

use super::Report;

/// Returns the report: what came in and what did not, what it cost, what to look at.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    let moved = if report.before == report.after {
        format!("`{}` stays at {}", report.target, brief(&report.after))
    } else {
        let (before, after) = (brief(&report.before), brief(&report.after));
        format!("`{}` moved from {before} to {after}", report.target)
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "# Assembly onto {}\n\n{moved}.\n",
        cell(&report.target)
    );
    text.push_str("| # | branch | verdict | commit | reason |\n|--:|---|---|---|---|\n");
    for (i, row) in report.train.iter().enumerate() {
        let name = row
            .task
            .as_ref()
            .map_or(row.branch.as_str(), |task| task.as_str());
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            i + 1,
            cell(name),
            row.verdict,
            row.commit.as_deref().map_or_else(String::new, brief),
            cell(row.reason.as_deref().unwrap_or_default())
        );
    }
    let _ = writeln!(
        text,
        "\n{} test runs ({} one at a time), {} verdicts known before, up to {} side by side. {:.1} s in all: \
         {:.1} s of tests, {:.1} s of merging, {:.1} s of landing.",
        report.tests_run,
        report.tests_one_at_a_time,
        report.tests_cached,
        report.jobs,
        report.seconds,
        report.seconds_testing,
        report.seconds_merging,
        report.seconds_landing,
    );
    for (title, items) in [
        ("Flaky: passed and failed on one tree", &report.flaky),
        ("Passed in a warm worktree only", &report.warm_only),
        ("Commits that fail by themselves", &report.red_commits),
    ] {
        list(&mut text, title, items);
    }
    if !report.runs.is_empty() {
        text.push_str(
            "\n## Runs\n\n| what | of | verdict | seconds | failing |\n|---|---|---|--:|---|\n",
        );
        for run in &report.runs {
            let verdict = if run.green { "passed" } else { "failed" };
            let failing = cell(&run.failing.join(", "));
            let (what, name) = (&run.what, cell(&run.name));
            let _ = writeln!(
                text,
                "| {what} | {name} | {verdict} | {:.1} | {failing} |",
                run.seconds
            );
        }
    }
    text
}

fn list(text: &mut String, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## {title}\n");
    for item in items {
        let _ = writeln!(text, "- {}", cell(item));
    }
}

fn brief(commit: &str) -> String {
    format!("`{}`", commit.chars().take(12).collect::<String>())
}

/// Returns text that stays within its cell, and is shown as it is.
fn cell(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '|' | '<' | '>' | '*' | '_' | '`' | '[' | ']' | '\\' => {
                safe.push('\\');
                safe.push(c);
            }
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assembler::report::{Row, RunRow};
    use crate::model::train::Verdict;
    use crate::model::train::obtained::Obtained;

    #[test]
    fn a_report_is_tables_that_no_name_breaks_out_of() {
        let report = Report {
            target: String::from("main"),
            before: "a".repeat(40),
            after: "b".repeat(40),
            flaky: vec![String::from("a::b")],
            runs: vec![RunRow {
                name: String::from("x|y\nz"),
                what: String::from("test"),
                green: false,
                how: Obtained::Clean,
                failing: vec![String::from("t")],
                seconds: 1.25,
            }],
            train: vec![Row {
                branch: String::from("evil|<script>"),
                task: None,
                verdict: Verdict::Conflict,
                commit: None,
                reason: Some(String::from("line\nbreak")),
                settled: false,
            }],
            ..Report::default()
        };
        let text = render(&report);
        assert!(
            text.contains("| 1 | evil\\|\\<script\\> | conflict |  | line break |"),
            "{text}"
        );
        assert!(
            text.contains("| test | x\\|y z | failed | 1.2 | t |"),
            "{text}"
        );
        assert!(text.contains("- a::b"), "{text}");
        assert!(
            text.contains("`main` moved from `aaaaaaaaaaaa` to `bbbbbbbbbbbb`"),
            "{text}"
        );
    }
}
