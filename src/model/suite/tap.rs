//! Reads the Test Anything Protocol, as programs print it and as `prove -v` frames it.
//!
//! A test is named by the path of its subtests and its description; without one by its number. The plan says
//! whether all were run.

use super::Reading;
use super::text::{number, plain};

#[derive(Default)]
struct Reader {
    reading: Reading,
    /// The file that `prove` names.
    file: Option<String>,
    /// Names of the subtests around the line.
    around: Vec<String>,
    block: Block,
    /// Some block does not explain itself.
    unexplained: bool,
    /// `prove` came to its end.
    ended: bool,
    /// Indentation of a diagnostic that is being skipped.
    diagnostic: Option<usize>,
}

/// One stream of results.
#[derive(Default)]
struct Block {
    plan: Option<usize>,
    run: usize,
    failed: usize,
}

/// Reads the output of a run.
pub(super) fn read(output: &str) -> Reading {
    let mut reader = Reader::default();
    for line in plain(output).lines() {
        reader.line(line);
    }
    reader.end_block();
    let whole = reader.ended || reader.file.is_none();
    reader.reading.complete = whole && !reader.unexplained;
    reader.reading
}

impl Reader {
    fn line(&mut self, line: &str) {
        let told = line.trim_start_matches(' ');
        let indent = line.len() - told.len();
        if let Some(begun) = self.diagnostic {
            // Whatever is less indented shows that the end was lost.
            if indent > begun || told != "..." && indent == begun {
                return;
            }
            self.diagnostic = None;
            if told == "..." {
                return;
            }
        }
        if told == "---" && indent % 4 == 2 {
            self.diagnostic = Some(indent);
            return;
        }
        let depth = indent / 4;
        if let Some(name) = told.strip_prefix("# Subtest: ") {
            self.around.truncate(depth);
            self.around.push(unescaped(name));
        } else if !indent.is_multiple_of(4) {
            // Neither a test nor a plan stands there.
        } else if let Some(result) = result(told) {
            self.result(depth, &result);
        } else if depth > 0 {
            // A subtest's own plan: its result stands one level up.
        } else if let Some(plan) = plan(told) {
            if self.block.plan.is_some() {
                self.end_block();
            }
            self.block.plan = Some(plan);
        } else if told.starts_with("TAP version ") {
            self.end_block();
        } else if told.starts_with("Bail out!") {
            self.unexplained = true;
        } else if let Some(file) = heading(told) {
            self.end_block();
            self.file = Some(file.to_owned());
        } else if told.starts_with("Result: ") {
            self.ended = true;
        } else if told.starts_with("Dubious, test returned ") {
            self.unexplained |= self.block.failed == 0;
        }
    }

    fn result(&mut self, depth: usize, result: &Outcome) {
        if depth == 0 {
            // Behind a plan that is fulfilled the next program's results begin.
            if self.block.plan == Some(self.block.run) && result.number == Some(1) {
                self.end_block();
            }
            self.block.run += 1;
        }
        self.around.truncate(depth);
        let name = if result.name.is_empty() {
            format!("test {}", result.number.unwrap_or(self.block.run))
        } else {
            result.name.clone()
        };
        let path: Vec<&str> = self.around.iter().map(String::as_str).collect();
        let path = [&path[..], &[&name]].concat().join(" > ");
        let id = match &self.file {
            Some(file) => format!("{file}: {path}"),
            None => path,
        };
        if result.skipped {
            return;
        }
        if result.ok {
            self.reading.passed.insert(id);
        } else {
            self.block.failed += usize::from(depth == 0);
            self.reading.failed.insert(id);
        }
    }

    fn end_block(&mut self) {
        let block = std::mem::take(&mut self.block);
        self.around.clear();
        let nothing = block.run == 0 && block.plan.is_none();
        self.unexplained |= !nothing && block.plan != Some(block.run);
    }
}

/// One `ok` or `not ok`.
struct Outcome {
    ok: bool,
    number: Option<usize>,
    name: String,
    /// To be done or left out: it says nothing either way.
    skipped: bool,
}

fn result(line: &str) -> Option<Outcome> {
    let (ok, rest) = match line.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok")?),
    };
    let rest = match rest.strip_prefix(' ') {
        Some(rest) => rest.trim_start(),
        None if rest.is_empty() => rest,
        None => return None,
    };
    let (number, rest) = match number(rest) {
        Some((number, rest)) if rest.is_empty() || rest.starts_with(' ') => (Some(number), rest),
        _ => (None, rest),
    };
    let (name, directive) = at_directive(rest.trim_start());
    let name = name.strip_prefix("- ").unwrap_or(name);
    let directive = directive.trim_start().to_ascii_lowercase();
    Some(Outcome {
        ok,
        number,
        name: unescaped(name.trim()),
        skipped: directive.starts_with("todo") || directive.starts_with("skip"),
    })
}

/// Splits a description at the first `#` that is not escaped.
fn at_directive(text: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '#' if !escaped && (at == 0 || text[..at].ends_with(' ')) => {
                return (&text[..at], &text[at + 1..]);
            }
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    (text, "")
}

fn unescaped(text: &str) -> String {
    text.replace("\\#", "#").replace("\\\\", "\\")
}

/// Reads `1..8`, with or without a word why nothing is run.
fn plan(line: &str) -> Option<usize> {
    let (plan, rest) = number(line.strip_prefix("1..")?)?;
    (rest.is_empty() || rest.starts_with(" #")).then_some(plan)
}

/// Reads `t/sums.t .. ` of `prove -v`.
fn heading(line: &str) -> Option<&str> {
    let (file, dots) = line.trim_end().rsplit_once(' ')?;
    let is_heading = dots.len() >= 2 && dots.chars().all(|c| c == '.');
    (is_heading && !file.is_empty()).then(|| file.trim_end())
}
