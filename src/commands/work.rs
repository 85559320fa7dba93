//! `git orch work`: an executor on any machine.

use std::time::Duration;

use anyhow::Result;

use super::Ctx;
use super::run::{execute, nothing, open, stopped, verdict};
use crate::executor::{Options, Until};
use crate::model::TeamId;
use crate::model::duration::parse_duration;

/// Work on the plan's tasks, here or on any machine
///
/// Takes tasks for its slots, runs their agents, checks and submits, as `run` does, beside any number of others
/// in clones of their own. Waits for tasks that others must finish first, and ends when nothing is left that it
/// could do. While the remote cannot be reached, claimed work goes on and new claims wait. The first SIGTERM or
/// Ctrl-C lets agents finish within the grace and takes no new work; what does not finish is released. Exits
/// with 3 where there is nothing to do.
#[derive(Debug, clap::Args)]
pub struct WorkArgs {
    /// Run at most this many agents at once
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    slots: u32,
    /// Do this team's tasks only; may be given more than once
    #[arg(long = "team", value_name = "TEAM")]
    teams: Vec<TeamId>,
    /// Do only tasks that need no other skills than these; may be given more than once
    #[arg(long = "skill", value_name = "SKILL")]
    skills: Vec<String>,
    /// Do what is there for the slots, one task each, and end
    #[arg(long)]
    once: bool,
    /// How long agents may go on after the first signal
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    grace: Duration,
    /// Tell in plain lines, without progress bars
    #[arg(long)]
    no_progress: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| String::from("not a duration like 90s, 5m or 1h30m"))
}

/// Runs the command.
///
/// # Errors
///
/// There is no run, another executor runs here, tasks are left over, or there is nothing to do.
pub fn run(ctx: &Ctx, args: WorkArgs) -> Result<()> {
    let ledger = open(ctx, &args.teams)?;
    let options = Options {
        slots: Some(args.slots as usize),
        teams: args.teams,
        skills: (!args.skills.is_empty()).then_some(args.skills),
        until: if args.once { Until::Once } else { Until::Over },
        grace: Some(args.grace),
        ..Options::default()
    };
    let report = execute(ctx, ledger, &options, !args.no_progress)?;
    if !args.once {
        return verdict(&report, "git orch work");
    }
    stopped(&report, "git orch work --once")?;
    match report.begun {
        0 => Err(nothing(&report)),
        _ => Ok(()),
    }
}
