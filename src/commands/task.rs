//! `git orch task`: lists, shows and adds tasks.

pub mod add;
pub mod list;
pub mod show;

use anyhow::Result;

use super::Ctx;
use crate::answer::Reply;
use crate::model::{State, TaskId, TeamId};

/// List, show and add tasks
#[derive(Debug, clap::Args)]
pub struct TaskArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List tasks in the plan's order
    List {
        /// Only those of this team
        #[arg(long, value_name = "N")]
        team: Option<TeamId>,
        /// Only those in this state
        #[arg(long)]
        state: Option<State>,
    },
    /// Show one task: what is to be done, how it stands, what went wrong, what it handed on
    Show {
        /// The task
        task: TaskId,
    },
    Add(Box<add::AddArgs>),
}

/// Runs the command.
///
/// # Errors
///
/// There is no such task or team, or the new task has errors.
pub fn run(ctx: &Ctx, args: TaskArgs) -> Result<Reply> {
    match args.verb {
        Verb::List { team, state } => list::run(ctx, team, state),
        Verb::Show { task } => show::run(ctx, &task),
        Verb::Add(args) => add::run(ctx, &args),
    }
}
