//! Which tests failed: read from what well-known test runners print.
//!
//! With the names of failing tests a culprit is searched by running those tests alone, all culprits at once.
//! So three things matter here. Names stay the same from one prefix of a train to the next: no line numbers,
//! no hashes. A narrowed command may run more than it was asked for, never less, and a test that does not
//! exist in some prefix is no failure there. And a reading says honestly whether it explains the red exit:
//! whoever is unsure falls back to whole runs and exit codes.
//!
//! Each runner has a file with a reader; `runner` knows how commands are made to build, go on, or narrow.

mod cargo;
mod go;
mod junit;
mod nextest;
mod pytest;
mod runner;
mod shell;
mod tap;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use runner::Invocation;

/// What a test command prints or writes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Output of `cargo test`.
    Cargo,
    /// Output of `cargo nextest run`.
    Nextest,
    /// Output of pytest.
    Pytest,
    /// `JUnit` XML report files.
    JUnit,
    /// Test Anything Protocol in the output, also as `prove -v` frames it.
    Tap,
    /// Output of `go test`, best with `-json`.
    Go,
}

impl Format {
    /// All formats, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Cargo,
        Self::Nextest,
        Self::Pytest,
        Self::JUnit,
        Self::Tap,
        Self::Go,
    ];

    /// Returns the word used in plans.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Nextest => "nextest",
            Self::Pytest => "pytest",
            Self::JUnit => "junit",
            Self::Tap => "tap",
            Self::Go => "go",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("`{text}` is no test format: write one of {known}")
        })
    }
}

/// A test command that can tell which of its tests failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    command: String,
    format: Format,
    invocation: Option<Invocation>,
    template: Option<String>,
    builds: Option<String>,
}

/// What a finished run says about single tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Tests that failed, by names that [`Suite::only`] understands.
    pub failed: BTreeSet<String>,
    /// Tests that are known to have passed; not every runner names them.
    pub passed: BTreeSet<String>,
    /// The output explains a red exit by itself: the failing tests are all named, nothing failed to build,
    /// no runner crashed, and the output is whole. Says nothing about a green exit.
    pub complete: bool,
}

/// Most bytes of a command that is made here: the kernel takes 128 KiB as one argument.
const MOST_COMMAND_BYTES: usize = 100_000;

/// Stands for the names of tests in a template.
const TESTS: &str = "{tests}";

impl Suite {
    /// Recognises a test command by its words. A format that is named settles how output is read, also of
    /// commands that say nothing about it, such as `make test`.
    pub fn of(command: &str, format: Option<Format>) -> Option<Self> {
        let invocation = Invocation::of(command);
        let format = format.or_else(|| Some(invocation.as_ref()?.format()))?;
        Some(Self {
            command: command.to_owned(),
            format,
            invocation,
            template: None,
            builds: None,
        })
    }

    /// Runs single tests by a command of the plan's, in which `{tests}` stands for their names, each quoted
    /// for sh.
    #[must_use]
    pub fn with_template(mut self, template: &str) -> Self {
        self.template = Some(template.to_owned());
        self
    }

    /// Builds by a command of the plan's.
    #[must_use]
    pub fn with_build(mut self, command: &str) -> Self {
        self.builds = Some(command.to_owned());
        self
    }

    /// Returns the format that output is read as.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns a command that only builds, so that its failure is a broken build; `None` where there is
    /// nothing to build or no such command.
    pub fn build(&self) -> Option<String> {
        let own = || self.invocation.as_ref()?.build(&self.command);
        self.builds.clone().or_else(own)
    }

    /// Returns the command made to go on after the first failure and to name what failed; its exit status
    /// means what the command's own means.
    pub fn full(&self) -> String {
        let full = self.invocation.as_ref().map(|i| i.full(&self.command));
        full.unwrap_or_else(|| self.command.clone())
    }

    /// Returns a command that runs these tests, and perhaps more; `None` where that cannot be said, and a
    /// whole run must do. It succeeds where none of them exists.
    pub fn only(&self, tests: &BTreeSet<String>) -> Option<String> {
        if tests.is_empty() {
            return None;
        }
        let command = match &self.template {
            Some(template) if template.contains(TESTS) => {
                let quoted: Option<Vec<String>> = tests.iter().map(|t| shell::quote(t)).collect();
                template.replace(TESTS, &quoted?.join(" "))
            }
            Some(_) => return None,
            None => {
                let invocation = self.invocation.as_ref()?;
                // Another format's names are not the runner's own.
                if invocation.format() != self.format {
                    return None;
                }
                invocation.only(&self.command, tests)?
            }
        };
        (command.len() <= MOST_COMMAND_BYTES).then_some(command)
    }

    /// Reads a finished run: its output, and the report files' texts where the format is `JUnit`.
    pub fn read(&self, output: &str, reports: &[String]) -> Reading {
        let mut reading = match self.format {
            Format::Cargo => cargo::read(output),
            Format::Nextest => nextest::read(output),
            Format::Pytest => pytest::read(output),
            Format::JUnit => junit::read(reports),
            Format::Tap => tap::read(output),
            Format::Go => go::read(output),
        };
        // One name may stand for several tests; then it failed if any of them did.
        reading.passed = &reading.passed - &reading.failed;
        reading.complete &= !reading.failed.is_empty();
        reading
    }
}
