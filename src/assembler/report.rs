//! What is asked of the assembler, what it tells on the way, and its answer.

mod markdown;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::model::TaskId;
use crate::model::suite;
use crate::model::train::obtained::{Confirm, Obtained};
use crate::model::train::{Gating, Train, Verdict};

/// What is asked of an assembly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Test command instead of the plan's, run by `sh`.
    pub test: Option<String>,
    /// How tests are spent.
    pub gating: Gating,
    /// Most tests side by side; measured where it is not given.
    pub jobs: Option<u32>,
    /// Times that a failure must be seen again instead of the plan's.
    pub retries: Option<u32>,
    /// How the test's output tells its failing tests; recognised by the command where it is not given.
    pub format: Option<suite::Format>,
    /// Command that only builds, instead of the plan's.
    pub test_build: Option<String>,
    /// Command that runs some tests only, instead of the plan's.
    pub test_some: Option<String>,
    /// What test worktrees keep of the files that Git ignores, instead of the plan's.
    pub keep: Option<Vec<String>>,
    /// When a pass is confirmed on a clean checkout, instead of the plan's.
    pub confirm: Option<Confirm>,
    /// Whether branches may land without a test, where there is no plan.
    pub no_test: bool,
    /// Whether commits that landed inside a batch are tested too, each by itself.
    pub every_commit_green: bool,
    /// Whether to give up at once where another assembly is at work.
    pub no_wait: bool,
    /// Whether branches go in the order in which most of them merge, not in the declared one.
    pub by_radar: bool,
    /// Take branches as they are that somebody else has moved: a person has looked.
    pub accept_moved: bool,
}

/// What the assembler came to; the same in the ledger (TOML) and on stdout (JSON).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Branch that was to move.
    pub target: String,
    /// Where it was.
    pub before: String,
    /// Where it is.
    pub after: String,
    /// Test runs that were needed.
    pub tests_run: u32,
    /// Test runs that an earlier verdict on the same tree saved.
    pub tests_cached: u32,
    /// Wall time.
    pub seconds: f64,
    /// Test runs that testing each branch once, one after the other, would have needed.
    pub tests_one_at_a_time: u32,
    /// Most tests that were allowed side by side in the end.
    pub jobs: u32,
    /// Time spent on merging branches in memory.
    pub seconds_merging: f64,
    /// Time that all test runs took together.
    pub seconds_testing: f64,
    /// Time spent on moving branches and recording it.
    pub seconds_landing: f64,
    /// Tests, or whole runs, that both passed and failed on the same tree.
    pub flaky: Vec<String>,
    /// What passed in a worktree that had kept something, and fails on a clean checkout.
    pub warm_only: Vec<String>,
    /// Landed commits that fail the test by themselves, though what they landed with passes.
    pub red_commits: Vec<String>,
    /// Every test run, in the order in which they ended.
    pub runs: Vec<RunRow>,
    /// The branches in order, and what became of them. Last, as TOML wants its tables.
    pub train: Vec<Row>,
}

/// One test run of a [`Report`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    /// What was tested.
    pub name: String,
    /// What was run: `test`, `build`, or some tests.
    pub what: String,
    /// Whether it passed.
    pub green: bool,
    /// How that was obtained.
    #[serde(default)]
    pub how: Obtained,
    /// The tests that failed, where they are known.
    pub failing: Vec<String>,
    /// Wall time.
    pub seconds: f64,
}

/// One branch of a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The branch.
    pub branch: String,
    /// The task whose work it is.
    #[serde(default)]
    pub task: Option<TaskId>,
    /// What became of it.
    pub verdict: Verdict,
    /// The commit that brought it in.
    #[serde(default)]
    pub commit: Option<String>,
    /// Why, in one line.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether nothing is left to be done about it; not part of the answer.
    #[serde(skip)]
    pub settled: bool,
}

impl Report {
    /// Returns the rows of a train whose cars are all decided.
    pub(super) fn rows(train: &Train) -> Vec<Row> {
        let cars = train.cars().iter().enumerate();
        cars.filter_map(|(i, _)| row(train, i)).collect()
    }

    /// Returns how many branches are still to be dealt with.
    pub fn left(&self) -> usize {
        self.train.iter().filter(|row| !row.settled).count()
    }

    /// Returns the number of branches with a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.train
            .iter()
            .filter(|row| row.verdict == verdict)
            .count()
    }

    /// Returns the fields in the order that JSON readers see them.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "target": self.target,
            "before": self.before,
            "after": self.after,
            "train": self.train,
            "tests_run": self.tests_run,
            "tests_cached": self.tests_cached,
            "seconds": self.seconds,
            "tests_one_at_a_time": self.tests_one_at_a_time,
            "jobs": self.jobs,
            "seconds_merging": self.seconds_merging,
            "seconds_testing": self.seconds_testing,
            "seconds_landing": self.seconds_landing,
            "flaky": self.flaky,
            "warm_only": self.warm_only,
            "red_commits": self.red_commits,
            "runs": self.runs,
        })
    }

    /// Returns the report for people who read it elsewhere.
    pub fn to_markdown(&self) -> String {
        markdown::render(self)
    }

    /// Returns the text kept in the ledger.
    ///
    /// # Errors
    ///
    /// It cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).context("cannot write the report")
    }
}

/// Returns the row of one car; `None` while it has no verdict.
pub(super) fn row(train: &Train, position: usize) -> Option<Row> {
    let car = train.cars().get(position)?;
    let outcome = train.outcome(position)?;
    Some(Row {
        branch: car.branch.clone(),
        task: car.task.clone(),
        verdict: outcome.verdict,
        commit: outcome.commit.as_ref().map(|commit| commit.0.clone()),
        reason: outcome.reason.clone(),
        settled: outcome.settled,
    })
}

/// One step of an assembly, told as it happens.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// So many branches go onto a target.
    Began {
        /// The target's short name.
        target: &'a str,
        /// Number of branches.
        branches: usize,
    },
    /// A test runs.
    Testing {
        /// What is tested: a branch, or the target itself.
        what: &'a str,
        /// The command.
        command: &'a str,
    },
    /// A test run has ended.
    Tested(&'a RunRow),
    /// A branch is sent back, for these reasons.
    Found {
        /// The branch.
        branch: &'a str,
        /// Several lines.
        findings: &'a str,
    },
    /// A branch has its verdict.
    Decided(&'a Row),
    /// Something that a person should know.
    Note(&'a str),
}

/// Whoever watches an assembly.
pub trait Watch {
    /// Is told one step.
    fn progress(&mut self, step: Progress<'_>);
}

/// Watches nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Watch for Silent {
    // The caller wants the report only.
    fn progress(&mut self, _step: Progress<'_>) {}
}
