//! `git orch doctor`: finds what is wrong, from the repository to the ledger to the worktrees, and mends it.

pub mod audit;
mod branches;
pub mod checkup;
pub mod choose;
mod files;
mod finding;
mod hooks;
mod ledger;
mod locks;
mod queue;
mod repository;
mod sandbox;
pub mod shared;
mod submitted;
mod unfinished;
mod worktrees;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use self::checkup::Checkup;
use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::ledger::Ledger;
use crate::model::Power;
use crate::ui::Paint;

/// Find what is wrong, and mend it
///
/// Looks at the repository, the ledger, the queue, branches and worktrees, and tells for each finding the
/// command that mends it. Exits with 1 while findings remain. Nothing that could be work is deleted: what is
/// put out of the way is kept under refs/orch/recovery/ or in the trash beside the worktrees.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Mend everything that needs no choice of yours
    #[arg(long, conflicts_with_all = ["restore", "keep", "accept"])]
    fix: bool,
    /// Put the last good version of a file of the ledger back
    #[arg(long, value_name = "PATH", conflicts_with = "keep")]
    restore: Option<String>,
    /// Choose between two ledgers; the other is kept under refs/orch/recovery/ledger/
    #[arg(long, value_enum, value_name = "WHICH")]
    keep: Option<Keep>,
    /// What to do with settings, hooks and stash entries that changed while agents worked
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["restore", "keep", "fix", "accept"])]
    shared: Option<Shared>,
    /// Let a commit of the ledger stand that claims a power which its actor lacks
    #[arg(long, value_name = "COMMIT", conflicts_with_all = ["restore", "keep"])]
    accept: Option<String>,
}

/// One of two ledgers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Keep {
    /// The one that git-orch left, before the branch was set back
    Noted,
    /// The branch as it stands
    Current,
    /// The remote's
    Remote,
    /// Ours, also on the remote
    Ours,
}

/// What becomes of changes to what agents share with people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shared {
    /// They stand
    Accept,
    /// They are undone; what is replaced goes to the trash
    Restore,
}

/// Runs the command.
///
/// # Errors
///
/// Findings remain, an agent wants to mend, or what was chosen cannot be done.
pub fn run(ctx: &Ctx, args: DoctorArgs) -> Result<Reply> {
    let repo = match ctx.repo() {
        Ok(repo) => repo,
        Err(error) => return Checkup::failed(ctx, &error),
    };
    let chooses = args.restore.is_some() || args.keep.is_some() || args.accept.is_some();
    if args.fix || chooses || args.shared.is_some() {
        ctx.require(Power::Mend)?;
    }
    if let Some(shared) = args.shared {
        return shared::run(ctx, &repo, shared);
    }
    if let Some(path) = args.restore {
        let reply = ctx.answer(&Restored {
            subject: Ledger::restore(&repo, &path)?,
            restored: path,
        })?;
        let remote = ctx.ledger().ok().and_then(|ledger| ledger.remote());
        return Ok(match remote {
            Some(_) => reply.hint("git orch sync"),
            None => reply,
        });
    }
    if let Some(commit) = args.accept {
        return audit::accept(ctx, &commit);
    }
    match args.keep {
        Some(keep) => choose::run(ctx, &repo, keep),
        None => Checkup::begin(ctx, repo, args.fix).run(),
    }
}

/// A file of the ledger that was put back.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Restored {
    /// Its path on the ledger.
    restored: String,
    /// Subject line of the ledger's commit.
    subject: String,
}

impl Answer for Restored {
    fn text(&self, _: Paint) -> String {
        self.subject.clone()
    }
}
