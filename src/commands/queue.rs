//! `git orch queue`: what is ready, held, waiting, and how fast it moves.

mod show;

use anyhow::Result;

use super::Ctx;
use crate::answer::Reply;
use crate::clock;
use crate::error::{Exit, UserError};
use crate::ledger::Ledger;
use crate::model::TeamId;
use crate::report::queue::{Active, Seen, Stats};
use crate::report::target::require_team;
use crate::report::throughput::Throughput;

/// Show what is ready, held and waiting, and how fast it moves
///
/// Without a word it shows the numbers. Ages are differences between the ledger's times and this machine's
/// clock; whether a claim has expired is what this machine has seen of its lease. Exits with 3 where there is
/// no run.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct QueueArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    stats: StatsArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Numbers: by team, by machine, claims and work handed in per hour
    Stats(StatsArgs),
    /// Lists: what is held, what would be taken next, what waits and for what
    Active(ActiveArgs),
}

#[derive(Debug, Default, clap::Args)]
struct StatsArgs {
    /// Only this team; may be given more than once
    #[arg(long, value_name = "N")]
    team: Vec<TeamId>,
}

#[derive(Debug, clap::Args)]
struct ActiveArgs {
    /// Only this team; may be given more than once
    #[arg(long, value_name = "N")]
    team: Vec<TeamId>,
    /// At most this many of what is ready and of what waits
    #[arg(short, long, value_name = "K", default_value_t = 20)]
    number: usize,
}

/// Runs the command.
///
/// # Errors
///
/// There is no ledger, no run or no such team, or a commit cannot be read.
pub fn run(ctx: &Ctx, args: QueueArgs) -> Result<Reply> {
    let ledger = ctx.ledger()?;
    if ledger.board().settings.run.is_none() {
        return Err(UserError::new("there is no run, so there is no queue")
            .hint("git orch plan apply plan.toml")
            .exit(Exit::NothingToDo)
            .into());
    }
    match args.verb {
        None => stats(ctx, &ledger, &args.stats),
        Some(Verb::Stats(args)) => stats(ctx, &ledger, &args),
        Some(Verb::Active(args)) => active(ctx, &ledger, &args),
    }
}

fn stats(ctx: &Ctx, ledger: &Ledger, args: &StatsArgs) -> Result<Reply> {
    require_teams(ledger, &args.team)?;
    let now = clock::now();
    let per_hour = Throughput::load(ledger, &args.team, now)?;
    let stats = Stats::new(ledger.board(), &args.team, &look(ledger)?, per_hour, now);
    ctx.answer(&stats)
}

fn active(ctx: &Ctx, ledger: &Ledger, args: &ActiveArgs) -> Result<Reply> {
    require_teams(ledger, &args.team)?;
    let (seen, now) = (look(ledger)?, clock::now());
    ctx.answer(&Active::new(
        ledger.board(),
        &args.team,
        &seen,
        args.number,
        now,
    ))
}

fn look(ledger: &Ledger) -> Result<Seen> {
    let (sightings, expired) = ledger.look_at_leases()?;
    Ok(Seen { sightings, expired })
}

fn require_teams(ledger: &Ledger, teams: &[TeamId]) -> Result<()> {
    for team in teams {
        require_team(ledger.board(), *team)?;
    }
    Ok(())
}
