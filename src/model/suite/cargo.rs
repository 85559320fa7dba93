//! Reads `cargo test`: libtest's and rustdoc's blocks, one or more for each binary, under cargo's headings.
//!
//! What a test printed may look like any of this, so a block's result counts only if its sums agree with the
//! number of tests that the block announced, and its list of failures with the number that failed.

use std::collections::BTreeSet;

use super::Reading;
use super::text::{number, plain};

/// Stands for the binary where no heading names it (`--quiet`).
const UNKNOWN: &str = "?";

#[derive(Default)]
struct Reader {
    reading: Reading,
    binary: Option<String>,
    /// The block that is being read.
    block: Option<Block>,
    /// Whether a block failed since cargo last said that a target did.
    failed_since: bool,
    /// Targets that cargo said have failed.
    targets: usize,
    /// The number of them that it said at the end.
    total: Option<usize>,
    /// Something failed that is no named test.
    unexplained: bool,
}

#[derive(Default)]
struct Block {
    tests: usize,
    passed: BTreeSet<String>,
    listed: Option<Vec<String>>,
    /// Captured output has begun.
    captured: bool,
}

/// Reads the output of a run.
pub(super) fn read(output: &str) -> Reading {
    let mut reader = Reader::default();
    for line in plain(output).lines() {
        reader.line(line);
    }
    reader.finish()
}

impl Reader {
    fn line(&mut self, line: &str) {
        let captured = self.block.as_ref().is_some_and(|block| block.captured);
        if let Some(binary) = heading(line).filter(|_| !captured) {
            // A block without a result is of a binary that crashed.
            self.unexplained |= self.block.take().is_some();
            self.binary = Some(binary);
        } else if let Some(block) = &mut self.block {
            if let Some(counts) = line.strip_prefix("test result: ").and_then(counts) {
                self.result(&counts);
            } else {
                block.line(line);
            }
        } else if let Some(tests) = announced(line) {
            self.block = Some(Block {
                tests,
                ..Block::default()
            });
        } else if is_rerun(line) {
            self.targets += 1;
            self.unexplained |= !std::mem::take(&mut self.failed_since);
        } else if let Some(total) = total(line) {
            self.total = Some(total);
        } else if line.starts_with("error: could not compile") {
            self.unexplained = true;
        }
    }

    fn result(&mut self, counts: &Counts) {
        let Some(block) = self.block.take() else {
            return;
        };
        if counts.tests != block.tests {
            // A test printed it.
            self.block = Some(Block {
                listed: None,
                ..block
            });
            return;
        }
        let id = |name: &str| {
            let binary = self.binary.as_deref().unwrap_or(UNKNOWN);
            format!("{binary} {}", stable(name))
        };
        let listed = block.listed.unwrap_or_default();
        if counts.failed > 0 || !counts.ok {
            self.failed_since = true;
            self.unexplained |= listed.len() != counts.failed || listed.is_empty();
            self.reading.failed.extend(listed.iter().map(|n| id(n)));
        }
        self.reading
            .passed
            .extend(block.passed.iter().map(|n| id(n)));
    }

    fn finish(mut self) -> Reading {
        let whole = match self.total {
            Some(total) => total == self.targets,
            // Without `--no-fail-fast` cargo stops at the first target.
            None => self.targets == 1,
        };
        let open = self.block.is_some() || self.failed_since;
        self.reading.complete = whole && !open && !self.unexplained;
        self.reading
    }
}

impl Block {
    fn line(&mut self, line: &str) {
        if line == "failures:" {
            self.captured = true;
            self.listed = Some(Vec::new());
            return;
        }
        let name = line.strip_prefix("    ").filter(|n| !n.starts_with(' '));
        match (&mut self.listed, name) {
            (Some(listed), Some(name)) => listed.push(name.to_owned()),
            (Some(_), None) if line.is_empty() => {}
            (listed, _) => *listed = None,
        }
        if self.captured {
            return;
        }
        let passed = line
            .strip_prefix("test ")
            .and_then(|l| l.strip_suffix(" ... ok"));
        if let Some(name) = passed {
            self.passed.insert(name.to_owned());
        }
    }
}

struct Counts {
    ok: bool,
    tests: usize,
    failed: usize,
}

/// Reads `FAILED. 3 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.16s`.
fn counts(result: &str) -> Option<Counts> {
    let (ok, rest) = match result.strip_prefix("ok. ") {
        Some(rest) => (true, rest),
        None => (false, result.strip_prefix("FAILED. ")?),
    };
    let mut numbers = [0; 4];
    let words = ["passed", "failed", "ignored", "measured"];
    let mut parts = rest.split("; ");
    for (value, word) in numbers.iter_mut().zip(words) {
        let (found, unit) = number(parts.next()?)?;
        (unit.trim() == word).then_some(())?;
        *value = found;
    }
    Some(Counts {
        ok,
        tests: numbers
            .iter()
            .try_fold(0usize, |sum, n| sum.checked_add(*n))?,
        failed: numbers[1],
    })
}

/// Returns the binary that a heading of cargo's names: by its crate, since the hash behind it and the path
/// before it differ between worktrees.
fn heading(line: &str) -> Option<String> {
    let line = line.strip_prefix("   ")?.trim_start();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("doc:{}", name.trim()));
    }
    let path = line.strip_prefix("Running ")?.strip_suffix(')')?;
    let (_, path) = path.rsplit_once(" (")?;
    let file = path.rsplit(['/', '\\']).next()?;
    let file = file.strip_suffix(".exe").unwrap_or(file);
    let name = match file.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 => name,
        _ => file,
    };
    Some(name.replace(' ', "_"))
}

/// Reads `running 7 tests`.
fn announced(line: &str) -> Option<usize> {
    let (tests, rest) = number(line.strip_prefix("running ")?)?;
    (rest == " tests" || rest == " test").then_some(tests)
}

fn is_rerun(line: &str) -> bool {
    let said = line.strip_prefix("error: ").unwrap_or_default();
    let (what, rest) = said.split_once(' ').unwrap_or_default();
    ["test", "doctest", "bench"].contains(&what) && rest.starts_with("failed, to rerun pass ")
}

/// Reads `error: 4 targets failed:`.
fn total(line: &str) -> Option<usize> {
    let (total, rest) = number(line.strip_prefix("error: ")?)?;
    [" targets failed:", " target failed:"]
        .contains(&rest)
        .then_some(total)
}

/// Returns a test's name without what is said about it and without the line where it stands.
fn stable(name: &str) -> &str {
    let name = name.split(" (line ").next().unwrap_or(name);
    name.strip_suffix(" - should panic").unwrap_or(name)
}
