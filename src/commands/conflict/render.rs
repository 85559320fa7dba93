//! Conflicts for people.

use crate::assembler::conflict::{Bundle, BundleFile, How, Landed};
use crate::report::text::{clean, clean_lines, count, short};
use crate::ui::{Style, Ui};

use super::Row;

/// Renders one conflict of many.
pub(super) fn row(row: &Row<'_>) -> String {
    let files: Vec<String> = row.files.iter().take(3).map(|path| clean(path)).collect();
    let more = match row.files.len().saturating_sub(3) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let mut text = format!(
        "{} with {} in {}{more}",
        clean(row.name),
        clean(row.target),
        files.join(", ")
    );
    if !row.current {
        text.push_str("; the branch has moved since");
    }
    if let Some(how) = row.proposal {
        text.push_str(&format!("; a {how} resolution is there to be tested"));
    }
    text
}

/// Renders a whole conflict.
pub(super) fn bundle(bundle: &Bundle, ui: &Ui) -> String {
    let whose = match (&bundle.task, bundle.agent) {
        (Some(task), Some(agent)) => format!(" (task {task} by {agent})"),
        (Some(task), None) => format!(" (task {task})"),
        (None, _) => String::new(),
    };
    let heading = format!(
        "{}{whose} at {} does not merge into {} at {}: {} in conflict",
        clean(&bundle.branch),
        short(&bundle.head),
        clean(&bundle.target),
        short(&bundle.tip),
        count(bundle.total, "file"),
    );
    let mut out = vec![ui.paint(Style::Strong, &heading)];
    for base in &bundle.bases {
        out.push(format!("they parted at {}", short(base)));
    }
    for landed in &bundle.landed {
        out.push(format!("on {}: {}", clean(&bundle.target), commit(landed)));
    }
    for file in &bundle.files {
        out.push(String::new());
        out.extend(in_file(bundle, file, ui));
    }
    out.push(String::new());
    out.push(proposal(bundle));
    out.join("\n")
}

fn commit(landed: &Landed) -> String {
    let agent = match landed.agent.as_str() {
        "" => String::new(),
        agent => format!(" by {}", clean(agent)),
    };
    let tasks = match landed.tasks.as_slice() {
        [] => String::new(),
        tasks => format!(" (task {}{agent})", clean(&tasks.join(", "))),
    };
    format!(
        "{} {}{tasks}",
        short(&landed.commit),
        clean(&landed.subject)
    )
}

fn in_file(bundle: &Bundle, file: &BundleFile, ui: &Ui) -> Vec<String> {
    let heading = format!("{}: {}", clean(&file.path), clean(&file.kind));
    let mut out = vec![ui.paint(Style::Strong, &heading)];
    out.extend(clean_lines(&file.message));
    for (name, text) in [
        (&bundle.target, &file.ours_changed),
        (&bundle.branch, &file.theirs_changed),
    ] {
        if !text.is_empty() {
            out.push(ui.paint(Style::Faint, &format!("what {} did:", clean(name))));
            out.extend(clean_lines(text).iter().map(|line| difference(line, ui)));
        }
    }
    if !file.hunks.is_empty() {
        out.push(ui.paint(Style::Faint, "where they meet:"));
    }
    for hunk in &file.hunks {
        out.extend(
            clean_lines(hunk)
                .into_iter()
                .map(|line| format!("  {line}")),
        );
    }
    out
}

/// Renders a line of a difference.
fn difference(line: &str, ui: &Ui) -> String {
    let text = format!("  {line}");
    match line.bytes().next() {
        Some(b'+') => ui.paint(Style::Good, &text),
        Some(b'-') => ui.paint(Style::Bad, &text),
        _ => text,
    }
}

fn proposal(bundle: &Bundle) -> String {
    match &bundle.proposal {
        Some(one) => {
            let from = match one.how {
                How::Remembered => "what was decided about the same lines before",
                How::Structured => "a merge by syntax",
            };
            format!(
                "proposal, untested: tree {} from {from}; `git diff {} {}` shows it",
                short(&one.tree),
                short(&bundle.tip),
                short(&one.tree)
            )
        }
        None => format!(
            "to resolve it: `git switch {}`, `git merge {}`",
            clean(&bundle.branch),
            clean(&bundle.target)
        ),
    }
}
