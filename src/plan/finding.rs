//! Findings: where in the text, what is wrong, and what to write instead.

use std::ops::Range;

use crate::model::lines::plain_lines;
use schemars::JsonSchema;
use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The plan cannot be applied.
    Error,
    /// The plan can be applied and somebody should look at this.
    Warning,
}

impl Severity {
    /// Returns the word used in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing found in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Number of characters concerned, on that line.
    pub width: usize,
    /// The key concerned, for example `tasks[3].after[1]`, counted from 0; empty for the whole text.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

/// Line starts of a text, so that a byte offset becomes line and column.
#[derive(Debug)]
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(breaks).collect(),
        }
    }

    /// Returns line, column and width of a span of bytes; the width ends with the line.
    pub(super) fn position(&self, span: &Range<usize>) -> (usize, usize, usize) {
        let start = floor(self.text, span.start);
        let line = self.starts.partition_point(|at| *at <= start).max(1) - 1;
        let column = self.text[self.starts[line]..start].chars().count();
        let end = floor(self.text, span.end.max(start));
        let inside = self.text[start..end].lines().next().unwrap_or("");
        (line + 1, column + 1, inside.chars().count().max(1))
    }
}

/// Returns the nearest boundary of a character at or before an offset.
fn floor(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// Returns the nearest of some names, if one is near enough to be meant.
pub(super) fn nearest<'a>(name: &str, among: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let length = lower.chars().count();
    among
        .into_iter()
        .filter_map(|other| {
            let candidate = other.to_lowercase();
            let slips = strsim::osa_distance(&lower, &candidate);
            let likeness = strsim::jaro_winkler(&lower, &candidate);
            // A third of the letters may be slips, and a longer name may be cut short.
            let is_near = slips < length && slips <= length.div_ceil(3);
            (is_near || likeness > 0.85).then_some((slips, likeness, other))
        })
        .min_by(|(a, x, _), (b, y, _)| a.cmp(b).then(y.total_cmp(x)))
        .map(|(_, _, other)| other)
}

/// Renders findings as compilers do: message, place, source line with a mark, help.
///
/// `paint` sets off the label of a finding.
pub fn render_findings(
    findings: &[Finding],
    file: &str,
    text: &str,
    paint: impl Fn(Severity, &str) -> String,
) -> String {
    let text = plain_lines(text);
    let lines: Vec<&str> = text.lines().collect();
    let blocks = findings.iter().map(|finding| {
        let label = paint(finding.severity, &format!("{}:", finding.severity.as_str()));
        let key = match finding.key.as_str() {
            "" => String::new(),
            key => format!(" ({})", printable(key)),
        };
        let number = finding.line.to_string();
        let gutter = " ".repeat(number.len());
        let source = lines.get(finding.line - 1).copied().unwrap_or("");
        // A tab is as wide in the line of marks as in the line above it.
        let indent: String = source
            .chars()
            .take(finding.column - 1)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let source: String = printable(source).chars().take(400).collect();
        let marks = "^".repeat(finding.width.min(120));
        let place = format!("{file}:{}:{}", finding.line, finding.column);
        format!(
            "{label} {}\n{gutter}--> {place}{key}\n{gutter} |\n{number} | {source}\n{gutter} | \
             {indent}{marks}\n{gutter} = help: {}\n",
            printable(&finding.message),
            printable(&finding.help)
        )
    });
    blocks.collect::<Vec<_>>().join("\n")
}

/// Replaces what a terminal would act upon: control characters, and marks that turn the direction of text.
fn printable(text: &str) -> String {
    let acts = |c: char| {
        (c.is_control() && c != '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if acts(c) { '\u{fffd}' } else { c })
        .collect()
}
