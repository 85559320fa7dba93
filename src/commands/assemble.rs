//! `git orch assemble`: brings branches together, tested as merged.

use std::path::PathBuf;

use anyhow::Result;

use super::{Ctx, recover};
use crate::assembler::{self, Options, Progress, Report, Watch};
use crate::config;
use crate::error::{Exit, UserError};
use crate::git::files;
use crate::model::event::shorten;
use crate::model::keep;
use crate::model::suite::Format;
use crate::model::train::obtained::Confirm;
use crate::model::train::{Gating, Verdict};
use crate::model::{Power, TeamId};
use crate::report::levels::{self, Step};
use crate::ui::{Style, Ui};

/// Bring finished work together, tested as merged
///
/// Without branches: everything that the plan's coders handed in goes onto `orch/integration`, with
/// dependencies first. A branch that conflicts or fails the test is sent back to its coder with the reason;
/// the rest goes on. With `--team`: what one team's coders handed in goes onto the team's branch, while other
/// teams do the same; the next assembly of everything takes that branch up as a whole. With branches: they go onto the branch named by `--onto`, in the order given; no plan is
/// needed, and nothing but the result and the verdicts stays behind.
///
/// Branches only ever move to a commit that passed the test command. Tests run side by side where that pays,
/// and a tree that is known to pass is not tested again. A failure counts when it was seen again: what both
/// passes and fails on one tree is told as flaky and sends nobody back.
///
/// Exits with 1 where a branch was left out, and with 3 where there was nothing to assemble.
#[derive(Debug, clap::Args)]
pub struct AssembleArgs {
    /// Branch that moves
    #[arg(long, value_name = "BRANCH")]
    onto: Option<String>,
    /// Bring this team's work onto the team's own branch only
    #[arg(long, value_name = "TEAM", conflicts_with_all = ["onto", "branches"])]
    team: Option<TeamId>,
    /// Test command, run by `sh` in a worktree kept for it [default: the plan's]
    #[arg(long, value_name = "COMMAND")]
    test: Option<String>,
    /// Test each branch as it is merged, or land several at once and search for what breaks them
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    gate: GateArg,
    /// Order in which branches go in
    #[arg(long, value_enum, default_value_t, value_name = "ORDER")]
    order: OrderArg,
    /// Most tests side by side [default: the plan's, else as many as are measured to be worth it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    jobs: Option<u32>,
    /// Times that a failing test is run again before it counts [default: the plan's, else 1]
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// How the test's output tells which tests failed: cargo, nextest, pytest, junit, tap or go [default: by
    /// its command]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Command that runs some tests only, their names in place of `{tests}` [default: the plan's, else by the
    /// test command]
    #[arg(long, value_name = "COMMAND", requires = "test")]
    test_some: Option<String>,
    /// Command that only builds what the test needs [default: the plan's, else by the test command]
    #[arg(long, value_name = "COMMAND", requires = "test")]
    test_build: Option<String>,
    /// Keep these of the files that Git ignores in test worktrees, as patterns like those of `.gitignore`; the
    /// rest goes before each test [default: the plan's, else nothing]
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    keep: Vec<String>,
    /// When a pass of a worktree that kept something is confirmed on a clean checkout: before any branch moves
    /// (landing), before the base branch or the one of `--onto` does (approve), or never [default: the plan's,
    /// else approve]
    #[arg(long, value_name = "WHEN")]
    confirm: Option<Confirm>,
    /// Land what merges without testing it: nothing is promised then
    #[arg(long, requires = "onto", conflicts_with = "test")]
    no_test: bool,
    /// With `--gate batch`: test also the commits that landed within a batch, and tell those that fail
    #[arg(long)]
    every_commit_green: bool,
    /// Write the report to this file as well, as Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Take a branch as it is that was moved, set back or edited by somebody else: a person has looked
    #[arg(long, conflicts_with = "onto")]
    accept_moved: bool,
    /// Give up at once where another assembly is at work in this repository
    #[arg(long)]
    no_wait: bool,
    /// Take the branches whose names match a glob, in order of the numbers in them
    #[arg(
        long,
        value_name = "GLOB",
        requires = "onto",
        conflicts_with = "branches"
    )]
    from_pattern: Option<String>,
    /// Take away all verdicts and noted conflicts, and do nothing else
    #[arg(long, exclusive = true)]
    forget: bool,
    /// Branches in the order in which they go in
    #[arg(value_name = "BRANCH", requires = "onto")]
    branches: Vec<String>,
}

/// Which branch goes first.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub enum OrderArg {
    /// As the plan, or the command line, has it
    #[default]
    Declared,
    /// So that most of them merge: of branches that conflict, those that keep fewest others out
    Radar,
}

/// How tests are spent.
#[derive(Debug, Clone, Copy, Default, clap::ValueEnum)]
pub enum GateArg {
    /// A test for each branch: every commit that lands has passed
    #[default]
    Each,
    /// One test for all: only the last commit has passed, those before it may not
    Batch,
}

/// Runs the command.
///
/// # Errors
///
/// A branch was left out (after the answer), there was nothing to do, or something is in the way.
pub fn run(ctx: &Ctx, args: AssembleArgs) -> Result<()> {
    if args.forget {
        return forget(ctx);
    }
    let options = Options {
        test: args.test,
        gating: match args.gate {
            GateArg::Each => Gating::Each,
            GateArg::Batch => Gating::Batch,
        },
        jobs: args.jobs,
        retries: args.retries,
        format: args.format,
        test_some: args.test_some,
        test_build: args.test_build,
        keep: Some(args.keep).filter(|keep| !keep.is_empty()),
        confirm: args.confirm,
        no_test: args.no_test,
        every_commit_green: args.every_commit_green,
        no_wait: args.no_wait,
        by_radar: matches!(args.order, OrderArg::Radar),
        accept_moved: args.accept_moved,
    };
    let mut steps = None;
    let report = match &args.onto {
        Some(onto) => branches(
            ctx,
            onto,
            args.branches,
            args.from_pattern.as_deref(),
            options.clone(),
        )?,
        None => {
            let (report, after) = plan(ctx, args.team, &options)?;
            steps = Some(after);
            report
        }
    };
    if let Some(path) = &args.report {
        files::replace(path, report.to_markdown().as_bytes())?;
    }
    recover::expire(ctx);
    if ctx.ui.is_json() {
        let mut answer = report.to_json();
        if let Some(steps) = steps {
            answer["levels"] = serde_json::json!(steps);
        }
        ctx.ui.json(&answer);
    } else {
        answer(ctx, &report, &options);
    }
    match report.left() {
        0 => Ok(()),
        left => {
            let of = report.train.len();
            let error = UserError::new(format!("{left} of {of} branches are not in"));
            Err(error.into())
        }
    }
}

/// Brings in what a plan's coders, or one team's, handed in; returns as well what waits at each step then.
fn plan(ctx: &Ctx, team: Option<TeamId>, options: &Options) -> Result<(Report, Vec<Step>)> {
    let mut ledger = ctx.ledger_to_build_on()?;
    let (board, actor) = (ledger.board(), ledger.actor());
    let may = match team {
        Some(team) => board.may_assemble_team(actor, team),
        None => board.may_assemble(actor),
    };
    may.map_err(UserError::from)?;
    let watch = &mut Lines { ui: ctx.ui };
    let report = match team {
        Some(team) => assembler::assemble_team(&mut ledger, team, options, watch)?,
        None => assembler::assemble(&mut ledger, options, watch)?,
    };
    let steps = levels::steps(&ledger)?;
    Ok((report, steps))
}

/// Brings branches onto another, without a plan.
fn branches(
    ctx: &Ctx,
    onto: &str,
    mut branches: Vec<String>,
    pattern: Option<&str>,
    mut options: Options,
) -> Result<Report> {
    let repo = ctx.repo()?;
    ctx.require(Power::Assemble)?;
    if let Some(pattern) = pattern {
        branches = assembler::branches_like(&repo, pattern, onto)?;
    }
    if branches.is_empty() {
        return Err(
            UserError::new(format!("no branch is named that goes onto {onto}"))
                .hint(format!(
                    "git orch assemble --onto {onto} --from-pattern 'feature/*'"
                ))
                .exit(Exit::Usage)
                .into(),
        );
    }
    // Without a ledger nothing is planned, and nothing is left behind of looking.
    let has_ledger = repo.read_ref(&config::ledger_ref(&repo))?.is_some();
    let planned = || ctx.ledger().ok().map(|ledger| ledger.board().run());
    let planned = has_ledger.then(planned).flatten().unwrap_or_default();
    if !options.no_test {
        options.test = options.test.or(planned.test);
    }
    options.keep = options.keep.or(Some(planned.keep));
    options.confirm = options.confirm.or(Some(planned.confirm));
    assembler::assemble_branches(&repo, onto, &branches, &options, &mut Lines { ui: ctx.ui })
}

/// Reads a pattern of what is kept.
fn pattern(text: &str) -> Result<String, String> {
    match keep::wrong_with(text) {
        None => Ok(text.to_owned()),
        Some((what, help)) => Err(format!("{what}; {help}")),
    }
}

fn forget(ctx: &Ctx) -> Result<()> {
    ctx.require(Power::Forget)?;
    let forgotten = assembler::forget(&ctx.repo()?)?;
    if ctx.ui.is_json() {
        ctx.ui
            .json(&serde_json::json!({ "forgotten": forgotten.refs }));
    } else {
        ctx.ui.answer(&format!(
            "{} verdicts and conflicts forgotten",
            forgotten.refs
        ));
    }
    Ok(())
}

fn answer(ctx: &Ctx, report: &Report, options: &Options) {
    let name = |row: &assembler::Row| match &row.task {
        Some(task) => task.to_string(),
        None => row.branch.clone(),
    };
    let widest = report.train.iter().map(|row| name(row).chars().count());
    let width = widest.max().unwrap_or(0).min(60);
    for (i, row) in report.train.iter().enumerate() {
        let verdict = paint(&ctx.ui, row.verdict);
        let detail = match (&row.commit, &row.reason) {
            (Some(commit), None) => shorten(commit, 13).trim_end_matches('…').to_owned(),
            (_, Some(reason)) => reason.clone(),
            (None, None) => String::new(),
        };
        let line = format!("{:>3}. {:<width$}  {verdict}  {detail}", i + 1, name(row));
        ctx.ui.answer(line.trim_end());
    }
    let brief = |commit: &str| commit.chars().take(12).collect::<String>();
    let moved = if report.before == report.after {
        format!("{} stays at {}", report.target, brief(&report.after))
    } else {
        let (before, after) = (brief(&report.before), brief(&report.after));
        format!("{} moved from {before} to {after}", report.target)
    };
    let tests = match (report.tests_run, report.tests_cached) {
        (0, 0) => String::from("no test ran"),
        (run, cached) => {
            let (one, jobs) = (report.tests_one_at_a_time, report.jobs);
            format!(
                "tests: {run} run, {cached} known before; one at a time: {one}; at most {jobs} side by side"
            )
        }
    };
    ctx.ui
        .answer(&format!("{moved}; {tests}; {:.1} s", report.seconds));
    for flaky in &report.flaky {
        ctx.ui.warn(&format!(
            "flaky, it both passed and failed on one tree: {flaky}"
        ));
    }
    for name in &report.warm_only {
        ctx.ui.warn(&format!(
            "{name} had passed in a worktree that keeps something: it needs what a clean checkout does not have"
        ));
    }
    for commit in &report.red_commits {
        let commit = brief(commit);
        ctx.ui.warn(&format!(
            "{commit} fails the test by itself; what landed with it passes"
        ));
    }
    let landed = report.count(Verdict::Merged);
    if landed > 0 && report.tests_run + report.tests_cached == 0 {
        ctx.ui.warn("nothing was tested: there is no test command");
    } else if landed > 1 && options.gating == Gating::Batch && !options.every_commit_green {
        ctx.ui
            .note("tested as a batch: only the last commit has passed, those before it may not");
    }
}

/// Sets off a verdict, all of one width.
fn paint(ui: &Ui, verdict: Verdict) -> String {
    let style = match verdict {
        Verdict::Merged => Style::Good,
        Verdict::Conflict | Verdict::TestFailed | Verdict::GateFailed => Style::Bad,
        Verdict::Skipped => Style::Warning,
    };
    ui.paint(style, &format!("{verdict:<11}"))
}

/// Tells an assembly line by line.
#[derive(Debug)]
pub struct Lines {
    /// The terminal.
    pub ui: Ui,
}

impl Watch for Lines {
    fn progress(&mut self, step: Progress<'_>) {
        match step {
            Progress::Began { target, branches } => {
                self.ui
                    .note(&format!("onto {target}: {branches} to bring in"));
            }
            Progress::Testing { what, command } => {
                let command = shorten(command, 60);
                self.ui.note(&format!("testing {what}: {command}"));
            }
            Progress::Tested(run) => {
                let verdict = if run.green { "passed" } else { "failed" };
                let failing = match run.failing.len() {
                    0 => String::new(),
                    count => format!(
                        ", {count} failing: {}",
                        shorten(&run.failing.join(", "), 80)
                    ),
                };
                let (name, what) = (&run.name, &run.what);
                self.ui.note(&format!(
                    "{what} of {name}: {verdict} in {:.1} s{failing}",
                    run.seconds
                ));
            }
            Progress::Found { findings, .. } => {
                let quoted: Vec<String> = findings.lines().map(|l| format!("  | {l}")).collect();
                self.ui.note(&quoted.join("\n"));
            }
            Progress::Decided(row) => {
                let reason = row.reason.as_ref().map(|reason| format!(" ({reason})"));
                let name = row
                    .task
                    .as_ref()
                    .map_or(row.branch.as_str(), |t| t.as_str());
                let verdict = row.verdict;
                let reason = reason.unwrap_or_default();
                self.ui.note(&format!("{name}: {verdict}{reason}"));
            }
            Progress::Note(text) => self.ui.note(text),
        }
    }
}
