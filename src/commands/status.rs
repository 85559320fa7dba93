//! `git orch status`: how the run, a team, an agent or a task stands.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::Ctx;
use crate::clock;
use crate::ledger::Ledger;
use crate::report::focus::{AgentView, TaskView, TeamView};
use crate::report::levels;
use crate::report::pace::Recent;
use crate::report::swarm::Swarm;
use crate::report::target::Target;
use crate::report::text::span;

/// How often the ledger's ref is looked at while watching.
const WATCH_EVERY: Duration = Duration::from_millis(250);

/// How often a remote's ledger is looked at while watching.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Show how the run, a team, an agent or a task stands
///
/// `1` is a team, `1.2` an agent, anything else a task. With `--json`, one document; with `--watch --json`, one
/// document on a line of its own for each change.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// A team (`1`), an agent (`1.2`) or a task (its id) [default: the whole run]
    target: Option<Target>,
    /// Show it anew whenever the ledger moves, until the run is over
    #[arg(long, short)]
    watch: bool,
}

/// Runs the command.
///
/// # Errors
///
/// There is no ledger or no such team, agent or task.
#[expect(
    clippy::needless_pass_by_value,
    reason = "commands own their arguments"
)]
pub fn run(ctx: &Ctx, args: StatusArgs) -> Result<()> {
    let mut ledger = ctx.ledger()?;
    loop {
        show(ctx, &ledger, &args)?;
        if !args.watch || Swarm::new(ledger.board()).is_over() {
            return Ok(());
        }
        let shown = ledger.tip();
        let mut looked = clock::monotonic();
        while ledger.tip() == shown {
            std::thread::sleep(WATCH_EVERY);
            ledger.refresh()?;
            if clock::monotonic().duration_since(looked) > ASK_EVERY {
                // A remote that is away for a while is no reason to stop watching.
                let _ = ledger.catch_up();
                looked = clock::monotonic();
            }
        }
    }
}

fn show(ctx: &Ctx, ledger: &Ledger, args: &StatusArgs) -> Result<()> {
    let (board, ui, now) = (ledger.board(), &ctx.ui, clock::now());
    let text = match &args.target {
        None => {
            let mut swarm = Swarm::new(board);
            if ui.is_json() || !board.settings.levels.is_empty() {
                swarm.levels = levels::steps(ledger)?;
            }
            if ui.is_json() {
                return json(ctx, args, &swarm);
            }
            swarm.render(board, &Recent::load(ledger)?, now, ui)
        }
        Some(Target::Team(team)) => {
            let view = TeamView::new(board, *team)?;
            if ui.is_json() {
                return json(ctx, args, &view);
            }
            view.render(board, now, ui)
        }
        Some(Target::Agent(agent)) => {
            let view = AgentView::new(ledger, *agent)?;
            if ui.is_json() {
                return json(ctx, args, &view);
            }
            view.render(now, ui)
        }
        Some(Target::Task(task)) => {
            let view = TaskView::new(ledger, task)?;
            if ui.is_json() {
                return json(ctx, args, &view);
            }
            view.render(board, now, ui)
        }
    };
    if args.watch {
        ui.redraw(&text);
    } else {
        ui.answer(&text);
        tell_age(ctx, ledger);
    }
    Ok(())
}

/// Says how old the picture is, where the truth is elsewhere.
fn tell_age(ctx: &Ctx, ledger: &Ledger) {
    let Some(remote) = ledger.remote() else {
        return;
    };
    let age = match ledger.heard_ago() {
        Some(ago) => format!(
            "as {remote} had it {} ago",
            span(ago.as_secs().cast_signed())
        ),
        None => format!("as {remote} had it some time ago"),
    };
    ctx.ui.note(&age);
    ctx.ui.hint("git orch sync");
}

#[expect(clippy::unnecessary_wraps, reason = "returned from arms that can fail")]
fn json(ctx: &Ctx, args: &StatusArgs, value: &impl Serialize) -> Result<()> {
    if args.watch {
        ctx.ui.json_line(value);
    } else {
        ctx.ui.json(value);
    }
    Ok(())
}
