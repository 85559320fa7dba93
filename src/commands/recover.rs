//! `git orch recover`: lists, shows, brings back and gives up what was saved.

pub mod list;
pub mod prune;
pub mod restore;
pub mod show;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::Ctx;
use crate::answer::Reply;
use crate::config;
use crate::model::Power;
use crate::report::text::count;
use crate::workspace::saved;

/// Bring back what was saved before anything went away
///
/// Before git-orch removes a worktree, reuses one, moves a branch back or deletes it, what that held is saved:
/// commits and uncommitted files below refs/orch/recovery/, with reason and date in an annotated tag;
/// files that fit in no commit in the trash beside the worktrees. What is older than `orch.recoveryExpiry` in
/// Git's configuration (30d unless it is set; `never` keeps everything) is given up when a run or an assembly ends.
#[derive(Debug, clap::Args)]
pub struct RecoverArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List what is saved, the oldest first
    List {
        /// Only what is of this owner: a coder, or `undo`, `ledger`, `assembler`, `branches`
        #[arg(long)]
        owner: Option<String>,
        /// Only what is work of this task
        #[arg(long)]
        task: Option<String>,
    },
    /// Show what one of them holds
    Show {
        /// Its id, its ref or its number in the list
        what: String,
        /// Show the changes, not only how many
        #[arg(short, long)]
        patch: bool,
    },
    /// Bring one of them back to a new branch; nothing that is there is overwritten
    Restore {
        /// Its id, its ref or its number in the list
        what: String,
        /// Name of the branch [default: recovered/<id>]
        #[arg(short, long)]
        branch: Option<String>,
        /// Directory to put its files in, as a worktree of that branch; must be empty or not exist
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Give up what is old, or what is named, for good
    Prune {
        /// What to give up, whatever its age [default: all that is old enough]
        what: Vec<String>,
        /// Give up what is older than this, like 30d or 2w [default: orch.recoveryExpiry, or 30d]
        #[arg(long, value_name = "TIME", value_parser = age, conflicts_with = "what")]
        older_than: Option<Duration>,
        /// Only tell what would be given up
        #[arg(long)]
        dry_run: bool,
    },
}

fn age(text: &str) -> Result<Duration, String> {
    let told = || format!("`{text}` is no age: write for example 30d, 2w or 12h");
    config::parse_expiry(text).flatten().ok_or_else(told)
}

/// Runs the command.
///
/// # Errors
///
/// Nothing is saved under that name, something is in the way, or an agent asks for what only a person may do.
pub fn run(ctx: &Ctx, args: RecoverArgs) -> Result<Reply> {
    let repo = ctx.repo()?;
    match args.verb {
        Verb::List { owner, task } => list::run(ctx, &repo, owner.as_deref(), task.as_deref()),
        Verb::Show { what, patch } => show::run(ctx, &repo, &what, patch),
        Verb::Restore { what, branch, to } => {
            ctx.require(Power::Recover)?;
            let to = to.map(|dir| ctx.dir.join(dir));
            restore::run(ctx, &repo, &what, branch.as_deref(), to.as_deref())
        }
        Verb::Prune {
            what,
            older_than,
            dry_run,
        } => {
            ctx.require(Power::Recover)?;
            prune::run(ctx, &repo, &what, older_than, dry_run)
        }
    }
}

/// Gives up what is older than `orch.recoveryExpiry`, when a run or an assembly is over.
///
/// Not done is no failure of what the process was for: it is told, and the next one tries again.
pub(super) fn expire(ctx: &Ctx) {
    match ctx.repo().and_then(|repo| saved::expire(&repo)) {
        Ok(0) => {}
        Ok(number) => ctx.ui.note(&format!(
            "{} given up that orch.recoveryExpiry keeps no longer",
            count(number, "saved state")
        )),
        Err(error) => ctx.ui.warn(&format!("nothing old was given up: {error:#}")),
    }
}
