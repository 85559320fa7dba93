//! How an assembly tests, from what the plan says and what was asked for.

use anyhow::Result;

use super::lock::Alone;
use super::report::Options;
use super::slots::Slots;
use super::tester::{Method, Tester};
use crate::git::Repo;
use crate::model::RunSpec;
use crate::model::levels::with_checks;
use crate::model::suite::Suite;
use crate::model::train::Gating;

/// Returns the tester of an assembly.
///
/// # Errors
///
/// What the verdicts depend on cannot be found out.
pub(super) fn tester<'a>(
    repo: &'a Repo,
    alone: &'a Alone,
    run: &RunSpec,
    options: &Options,
) -> Result<Tester<'a>> {
    checked_tester(repo, alone, run, &[], options)
}

/// Returns the tester of an assembly in which checks must pass besides the test.
///
/// # Errors
///
/// As [`tester`].
pub(super) fn checked_tester<'a>(
    repo: &'a Repo,
    alone: &'a Alone,
    run: &RunSpec,
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
    let method = Method {
        command: with_checks(command.as_deref(), checks),
        suite,
        // One at a time stops at the first failure like whoever wrote the command; a whole line is searched.
        by_tests: options.gating == Gating::Batch,
        reports: run.test_reports.clone(),
        retries: options.retries.unwrap_or(run.test_retries),
        environment: run.test_environment.clone().unwrap_or_default(),
        checks: checks.iter().map(ToString::to_string).collect(),
        trusts_coders: run.trust_coder_tests,
    };
    let jobs = options.jobs.or(run.test_jobs);
    let jobs = jobs.map(|jobs| usize::try_from(jobs).unwrap_or(usize::MAX));
    let slots = Slots::new(repo, alone, run.test_timeout, jobs)?;
    Ok(Tester::new(repo, method, slots))
}
