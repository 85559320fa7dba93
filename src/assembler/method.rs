//! How an assembly tests, from what the plan says and what was asked for.

use anyhow::Result;

use super::lock::Alone;
use super::report::Options;
use super::reports::Reports;
use super::slots::Slots;
use super::tester::Tester;
use crate::git::Repo;
use crate::model::RunSpec;
use crate::model::keep::Keep;
use crate::model::levels::with_checks;
use crate::model::suite::Suite;
use crate::model::train::Gating;
use crate::model::train::batch::What;
use crate::model::train::obtained::{Confirm, Goal};

/// How an assembly tests.
#[derive(Debug, Clone, Default)]
pub(super) struct Method {
    /// The test command; without one everything passes.
    pub(super) command: Option<String>,
    /// What can tell its failing tests.
    pub(super) suite: Option<Suite>,
    /// Whether the suite is made to go on after the first failure, to build only, or to run some tests only.
    pub(super) by_tests: bool,
    /// Files in which it reports them.
    pub(super) reports: Reports,
    /// Times that a failure must be seen again.
    pub(super) retries: u32,
    /// What verdicts depend on beside tree and command.
    pub(super) environment: String,
    /// What must pass as well, already in `command`.
    pub(super) checks: Vec<String>,
    /// Whether what coders' own runs said counts.
    pub(super) trusts_coders: bool,
    /// Whether what lands must have passed on a clean checkout.
    pub(super) lands_clean: bool,
    /// Whether every run is on a clean checkout: each may decide a landing that needs one.
    pub(super) runs_clean: bool,
}

impl Method {
    /// Returns the command that finds something out; the whole test where there is no smaller one.
    pub(super) fn command(&self, what: &What) -> Option<String> {
        let whole = self.command.as_ref()?;
        let Some(suite) = self.suite.as_ref().filter(|_| self.by_tests) else {
            return Some(whole.clone());
        };
        Some(match what {
            What::Whole => self.whole(&suite.full()),
            What::Build => suite.build().unwrap_or_else(|| suite.full()),
            What::Some(tests) => suite.only(tests).unwrap_or_else(|| suite.full()),
        })
    }

    /// Returns other commands that test the same as the whole one, or less of it only where they fail.
    pub(super) fn equals_of_whole(&self) -> Vec<String> {
        let used = self.command(&What::Whole);
        let full = self.suite.as_ref().map(|suite| self.whole(&suite.full()));
        let mut all: Vec<String> = self.command.iter().cloned().chain(full).collect();
        all.retain(|command| Some(command) != used.as_ref());
        all
    }

    /// Returns a form of the test command together with what must pass as well.
    fn whole(&self, test: &str) -> String {
        let checks: Vec<&str> = self.checks.iter().map(String::as_str).collect();
        with_checks(Some(test), &checks).unwrap_or_default()
    }
}

/// Returns the tester of what goes somewhere.
///
/// # Errors
///
/// What the verdicts depend on cannot be found out.
pub(super) fn tester<'a>(
    repo: &'a Repo,
    alone: &'a Alone,
    run: &RunSpec,
    goal: Goal,
    options: &Options,
) -> Result<Tester<'a>> {
    checked_tester(repo, alone, (run, goal), &[], options)
}

/// Returns the tester of what goes somewhere if checks pass besides the test.
///
/// # Errors
///
/// As [`tester`].
pub(super) fn checked_tester<'a>(
    repo: &'a Repo,
    alone: &'a Alone,
    (run, goal): (&RunSpec, Goal),
    checks: &[&str],
    options: &Options,
) -> Result<Tester<'a>> {
    let command = options.test.clone().or_else(|| run.test.clone());
    let format = options.format.or(run.test_format);
    let suite = command
        .as_deref()
        .and_then(|command| Suite::of(command, format));
    let some = options.test_some.as_ref().or(run.test_some.as_ref());
    let suite = suite.map(|suite| match some {
        Some(template) => suite.with_template(template),
        None => suite,
    });
    let builds = options.test_build.as_ref().or(run.test_build.as_ref());
    let suite = suite.map(|suite| match builds {
        Some(command) => suite.with_build(command),
        None => suite,
    });
    let confirm = options.confirm.unwrap_or(run.confirm);
    let method = Method {
        command: with_checks(command.as_deref(), checks),
        suite,
        // One at a time stops at the first failure like whoever wrote the command; a whole line is searched.
        by_tests: options.gating == Gating::Batch,
        reports: Reports::new(&run.test_reports),
        retries: options.retries.unwrap_or(run.test_retries),
        environment: run.test_environment.clone().unwrap_or_default(),
        checks: checks.iter().map(ToString::to_string).collect(),
        trusts_coders: run.trust_coder_tests,
        lands_clean: confirm.is_due(goal),
        // A line is searched by many runs of which one lands.
        runs_clean: confirm == Confirm::Landing && options.gating == Gating::Each,
    };
    let jobs = options.jobs.or(run.test_jobs);
    let jobs = jobs.map(|jobs| usize::try_from(jobs).unwrap_or(usize::MAX));
    let keep = Keep::new(options.keep.as_ref().unwrap_or(&run.keep));
    let slots = Slots::new(repo, alone, (run.test_timeout, keep), jobs)?;
    Ok(Tester::new(repo, method, slots))
}
