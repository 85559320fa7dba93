//! `git orch run`: the main job on this machine.

use std::fmt::Write as _;

use anyhow::Result;

use super::{Ctx, recover, shared};
use crate::error::{Exit, UserError};
use crate::executor::{self, News, Options, Preview, Problem, Report, Watch};
use crate::ledger::Ledger;
use crate::model::{Actor, Board, Command, Gate, Power, State, TeamId};
use crate::ui::Style;
use crate::ui::progress::{Gauge, Progress};
use crate::workspace::shared::require_untouched;

/// Run the plan's agents on this machine
///
/// Makes ready what may start, gives every free coder its next task in a worktree of its own, runs the
/// profile's command there, checks what it delivered and submits it. An attempt that fails is tried once more
/// with what went wrong attached, then recorded as a gap. Ctrl-C stops politely, twice at once; running it
/// again carries on where it was. Exits with 1 where tasks are left over or given up, and with 3 where there
/// is nothing to do.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Assemble what was submitted, so that later phases build on merged and tested work
    #[arg(long)]
    assemble: bool,
    /// Run at most this many agents at once [default: the plan's `jobs`, or one for each coder]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Work for this team only; may be given more than once
    #[arg(long = "team", value_name = "TEAM")]
    teams: Vec<TeamId>,
    /// Print what would be done, and do nothing
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Tell in plain lines, without progress bars
    #[arg(long)]
    no_progress: bool,
}

/// Runs the command.
///
/// # Errors
///
/// There is no run, another executor runs here, tasks are left over, or there is nothing to do.
pub fn run(ctx: &Ctx, args: RunArgs) -> Result<()> {
    let ledger = open(ctx, &args.teams)?;
    let options = Options {
        assemble: args.assemble,
        slots: args.jobs.map(|jobs| jobs as usize),
        teams: args.teams,
        gate: Some(if args.assemble {
            Gate::Merged
        } else {
            Gate::Submitted
        }),
        ..Options::default()
    };
    if args.dry_run {
        let preview = executor::preview(&ledger, &options)?;
        return answer_preview(ctx, &preview);
    }
    let report = execute(ctx, ledger, &options, !args.no_progress)?;
    let again = if options.assemble {
        "git orch run --assemble"
    } else {
        "git orch run"
    };
    verdict(&report, again)
}

/// Opens the ledger for an executor of some teams.
///
/// # Errors
///
/// There is no run or no such team, or an agent asks.
pub(super) fn open(ctx: &Ctx, teams: &[TeamId]) -> Result<Ledger> {
    let repo = ctx.repo()?;
    ctx.require(Power::Run)?;
    require_untouched(&repo)?;
    let ledger = Ledger::open(repo, Actor::Executor)?;
    require_teams(ledger.board(), teams)?;
    Ok(ledger)
}

/// Runs an executor, shows what it does, and answers what it came to.
///
/// # Errors
///
/// Another executor runs here, or the ledger can no longer be read or written.
pub(super) fn execute(
    ctx: &Ctx,
    ledger: Ledger,
    options: &Options,
    progress: bool,
) -> Result<Report> {
    let mut screen = Screen {
        progress: Progress::new(ctx.ui, progress),
        teams: options.teams.clone(),
    };
    let report = executor::run(ledger, options, &mut screen);
    screen.progress.clear();
    // Where the ledger cannot be read, that is what there is to tell.
    if let Ok(ledger) = ctx.repo().and_then(|repo| Ledger::open(repo, Actor::Human)) {
        shared::tell(ctx, &ledger)?;
    }
    let report = report?;
    recover::expire(ctx);
    if ctx.ui.is_json() {
        ctx.ui.json(&report);
    } else {
        ctx.ui.answer(&summary(ctx, &report));
    }
    Ok(report)
}

fn require_teams(board: &Board, teams: &[TeamId]) -> Result<()> {
    if board.settings.run.is_none() {
        return Err(UserError::new("there is no plan to run")
            .hint("git orch plan apply plan.toml")
            .into());
    }
    if board.settings.closed.is_some() {
        return Err(
            UserError::new(format!("run {} is closed", board.run_name()))
                .hint("git orch plan apply plan.toml")
                .exit(Exit::NothingToDo)
                .into(),
        );
    }
    match teams.iter().find(|team| !board.teams.contains_key(team)) {
        None => Ok(()),
        Some(team) => {
            let there: Vec<String> = board.teams.keys().map(ToString::to_string).collect();
            Err(UserError::new(format!(
                "there is no team {team}; there are {}",
                there.join(", ")
            ))
            .hint("git orch status")
            .into())
        }
    }
}

/// Turns what an executor came to into how the command ends.
///
/// # Errors
///
/// It was stopped, tasks are left over, or there was nothing to do.
pub(super) fn verdict(report: &Report, again: &str) -> Result<()> {
    stopped(report, again)?;
    if report.is_complete() {
        if report.begun == 0 && !report.assembled && !report.waited {
            return Err(nothing(report));
        }
        return Ok(());
    }
    let mut parts: Vec<String> = report.problems.first().iter().map(problem).collect();
    if report.problems.len() > 1 {
        parts.push(format!("{} more problems", report.problems.len() - 1));
    }
    if !report.gaps.is_empty() {
        parts.push(format!("{} given up", count(report.gaps.len())));
    }
    if !report.waiting.is_empty() {
        parts.push(format!("{} left over", count(report.waiting.len())));
    }
    let error = UserError::new(parts.join(", "));
    Err(match report.problems.is_empty() {
        true => error.hint("git orch status"),
        // What has cost no attempt goes on by itself once it is mended.
        false => error.hint(again),
    }
    .into())
}

fn problem(problem: &&Problem) -> String {
    format!("{}: {}", problem.what, problem.reason)
}

/// Returns the error of a signal that has stopped an executor, if one has.
///
/// # Errors
///
/// It was stopped.
pub(super) fn stopped(report: &Report, again: &str) -> Result<()> {
    match report.signal {
        None => Ok(()),
        Some(signal) => Err(UserError::new("the run was stopped")
            .hint(again)
            .exit(Exit::of_signal(signal))
            .into()),
    }
}

/// Returns the error of an executor that had nothing to do.
pub(super) fn nothing(report: &Report) -> anyhow::Error {
    UserError::new("there is nothing to do")
        .hint(next_command(report))
        .exit(Exit::NothingToDo)
        .into()
}

fn count(tasks: usize) -> String {
    let plural = if tasks == 1 { "task" } else { "tasks" };
    format!("{tasks} {plural}")
}

/// Returns the command that goes on from here.
fn next_command(report: &Report) -> &'static str {
    if !report.submitted.is_empty() {
        "git orch assemble"
    } else if !report.merged.is_empty() {
        "git orch approve"
    } else {
        "git orch status"
    }
}

fn summary(ctx: &Ctx, report: &Report) -> String {
    let mut text = String::new();
    let paint = |style, word: &str| ctx.ui.paint(style, word);
    for problem in &report.problems {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} {}: {}",
            paint(Style::Bad, "stopped"),
            problem.what,
            problem.reason
        );
    }
    for gap in &report.gaps {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} {}: {}\n    log: {}",
            paint(Style::Bad, "gap"),
            gap.task,
            gap.reason,
            gap.log.display()
        );
    }
    for waiting in &report.waiting {
        let _ = writeln!(
            text,
            "{} {}: {}",
            paint(Style::Warning, waiting.state.as_str()),
            waiting.task,
            waiting.reason
        );
    }
    let _ = writeln!(
        text,
        "{} merged, {} submitted, {} given up, {} left over in {:.1} s",
        report.merged.len(),
        report.submitted.len(),
        report.gaps.len(),
        report.waiting.len(),
        report.seconds
    );
    if report.signal.is_none() {
        let _ = writeln!(text, "next: {}", next_command(report));
    }
    text
}

fn answer_preview(ctx: &Ctx, preview: &Preview) -> Result<()> {
    if ctx.ui.is_json() {
        ctx.ui.json(preview);
    } else {
        ctx.ui.answer(&preview_text(preview));
    }
    if preview.planned.is_empty() && preview.gaps.is_empty() {
        return Err(UserError::new("there is nothing to do")
            .hint("git orch status")
            .exit(Exit::NothingToDo)
            .into());
    }
    Ok(())
}

fn preview_text(preview: &Preview) -> String {
    let mut text = String::new();
    let list = |tasks: &[crate::model::TaskId]| {
        let ids: Vec<String> = tasks.iter().map(ToString::to_string).collect();
        ids.join(", ")
    };
    // Writing to a String cannot fail.
    if !preview.dispatched.is_empty() {
        let _ = writeln!(text, "would make ready: {}", list(&preview.dispatched));
    }
    if !preview.gaps.is_empty() {
        let _ = writeln!(text, "would give up: {}", list(&preview.gaps));
    }
    for planned in &preview.planned {
        let command = match &planned.command {
            Ok(Command::Shell(script)) => format!("sh -c {script:?}"),
            Ok(Command::Argv(words)) => format!("{words:?}"),
            Err(problem) => format!("none: {problem}"),
        };
        let _ = writeln!(
            text,
            "[{}] would claim {} (attempt {}, {})\n    branch:   {}\n    worktree: {}\n    command:  {}\n    \
             prompt:   {} lines, to {}",
            planned.agent,
            planned.task,
            planned.attempt,
            planned.model,
            planned.branch,
            planned.worktree.display(),
            command,
            planned.prompt.lines().count(),
            planned.files.join("prompt.md").display()
        );
    }
    text
}

/// Shows a run to the person who watches.
struct Screen {
    progress: Progress,
    teams: Vec<TeamId>,
}

impl Watch for Screen {
    fn tell(&mut self, news: &News) {
        let text = news.to_string();
        match news {
            News::Warning(_) | News::Blocked(..) => self.progress.warn(&text),
            _ => self.progress.line(&text),
        }
    }

    fn show(&mut self, board: &Board) {
        let mut gauges = Vec::new();
        for team in board.teams.values() {
            if self.teams.is_empty() || self.teams.contains(&team.id) {
                let name = match team.name.as_str() {
                    "" => format!("team {}", team.id),
                    name => format!("{} {name}", team.id),
                };
                gauges.push(gauge(board, name, |of| of == team.id));
            }
        }
        let teams = &self.teams;
        let all = |of| teams.is_empty() || teams.contains(&of);
        gauges.push(gauge(board, String::from("total"), all));
        self.progress.show(&gauges);
    }
}

fn gauge(board: &Board, name: String, is_of: impl Fn(TeamId) -> bool) -> Gauge {
    let states: Vec<State> = board
        .tasks
        .values()
        .filter(|task| is_of(task.team) && task.status.state != State::Cancelled)
        .map(|task| task.status.state)
        .collect();
    let number = |test: fn(State) -> bool| states.iter().filter(|state| test(**state)).count();
    let parts = [
        (number(State::is_held), "at work"),
        (number(|state| state == State::Merged), "merged"),
        (number(|state| state == State::Gap), "given up"),
    ];
    let told: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    Gauge {
        name,
        length: states.len() as u64,
        position: number(|state| state.is_done() || state == State::Gap) as u64,
        message: told.join(", "),
    }
}
