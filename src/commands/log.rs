//! `git orch log`: what happened, newest first.

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;
use regex::Regex;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::ledger::Ledger;
use crate::report::story::{Filter, Kind, Row};
use crate::report::target::{Target, require_task, require_team};
use crate::ui::Paint;

/// Show what happened, newest first
///
/// The events are the commits of the ledger's branch; `git log orchestration` shows the same.
#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// A team (`1`), an agent (`1.2`) or a task (its id) [default: everything]
    target: Option<Target>,
    /// Calls for help only
    #[arg(long)]
    escalations: bool,
    /// Events of this kind only; may be given more than once
    #[arg(long, value_name = "EVENT", value_parser = kinds())]
    kind: Vec<Kind>,
    /// Events whose subject or text matches this regular expression only
    #[arg(long, value_name = "PATTERN")]
    grep: Option<Regex>,
    /// At most this many
    #[arg(short, long, value_name = "K")]
    number: Option<usize>,
    /// Oldest of them first
    #[arg(long)]
    reverse: bool,
}

fn kinds() -> impl clap::builder::TypedValueParser<Value = Kind> {
    let words = PossibleValuesParser::new(Kind::all().map(Kind::as_str));
    words.map(|word| {
        Kind::all()
            .find(|kind| kind.as_str() == word)
            .expect("the words are those of the kinds")
    })
}

/// Runs the command.
///
/// # Errors
///
/// There is no ledger, a commit cannot be read, or there never was such a team or task.
pub fn run(ctx: &Ctx, args: LogArgs) -> Result<Reply> {
    let ledger = ctx.ledger()?;
    let filter = Filter {
        target: args.target,
        escalations: args.escalations,
        kinds: args.kind,
        grep: args.grep,
    };
    let most = args.number.unwrap_or(usize::MAX);
    let at_once = ctx.ui.form().is_json() || args.reverse;
    let mut rows = Vec::new();
    let mut found = 0;
    let reading = |read| {
        ctx.ui
            .note(&format!("{read} events read, to be found faster next time"))
    };
    for entry in ledger.search(filter.query()).telling(reading) {
        if found == most {
            break;
        }
        let entry = entry?;
        let row = Row::new(&entry);
        if !filter.wants(&row, &entry.told) {
            continue;
        }
        found += 1;
        if at_once {
            rows.push(row);
        } else if !ctx.ui.part(&row) {
            return Ok(Reply::default());
        }
    }
    if found == 0 && most > 0 {
        require_known(&ledger, filter.target.as_ref())?;
    }
    if args.reverse {
        rows.reverse();
    }
    match at_once {
        true => ctx.answer(&Story(rows)),
        false => Ok(Reply::default()),
    }
}

/// What happened, in the order that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Story(Vec<Row>);

impl Answer for Story {
    fn text(&self, paint: Paint) -> String {
        self.0.iter().map(|row| row.text(paint)).collect()
    }
}

/// Tells a name that does not exist from one that nothing happened to; what an earlier run had is found by
/// its events and never gets here.
fn require_known(ledger: &Ledger, target: Option<&Target>) -> Result<()> {
    match target {
        None => {}
        Some(Target::Team(team)) => drop(require_team(ledger.board(), *team)?),
        Some(Target::Agent(agent)) => drop(require_team(ledger.board(), agent.team)?),
        Some(Target::Task(task)) => drop(require_task(ledger.board(), task)?),
    }
    Ok(())
}
