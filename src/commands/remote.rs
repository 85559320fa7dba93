//! `git orch remote`: where the ledger's truth is.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::model::board::LOCAL;
use crate::model::{MachineId, Power};
use crate::ui::Paint;

/// Show or set where the ledger's truth is
#[derive(Debug, clap::Args)]
pub struct RemoteArgs {
    #[command(subcommand)]
    command: Option<RemoteCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum RemoteCommand {
    /// Show where the ledger's truth is
    Show,
    /// Make a remote's ledger the truth, so that any number of machines may work
    ///
    /// The ledger is pushed there; from then on nothing counts before the remote has it. `local` takes this
    /// clone out again: its ledger goes its own way then, and no other clone hears of it.
    Set {
        /// Name of a Git remote, or `local`
        remote: String,
    },
}

/// Runs the command.
///
/// # Errors
///
/// There is no such remote, it cannot be reached or does not take the ledger.
pub fn run(ctx: &Ctx, args: RemoteArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    if let Some(RemoteCommand::Set { remote }) = args.command {
        ctx.require(Power::Authority)?;
        if remote == LOCAL {
            ledger.detach()?;
            ledger.refresh()?;
        } else {
            ledger.publish(&remote)?;
        }
    }
    let remote = ledger.remote();
    let url = remote
        .as_ref()
        .and_then(|remote| ledger.repo().config(&format!("remote.{remote}.url")));
    ctx.answer(&Authority {
        authority: ledger.board().settings.authority.clone(),
        remote,
        url,
        ledger: ledger.branch().to_owned(),
        commit: ledger.tip().map(|tip| tip.to_string()),
        machine: ledger.machine().clone(),
    })
}

/// Where the ledger's truth is.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Authority {
    /// The remote whose ledger counts, as the ledger has it; `local` for this clone's own.
    authority: String,
    /// The same, as this clone has it.
    remote: Option<String>,
    url: Option<String>,
    /// Name of the ledger's branch.
    ledger: String,
    /// Its tip.
    commit: Option<String>,
    /// Name of this machine.
    machine: MachineId,
}

impl Answer for Authority {
    fn text(&self, _: Paint) -> String {
        let Self {
            ledger, machine, ..
        } = self;
        match (&self.remote, &self.url) {
            (None, _) => {
                String::from("this clone's ledger is the truth; no other machine can claim work")
            }
            (Some(remote), Some(url)) => format!(
                "the truth is branch {ledger} of {remote} ({url}); this machine is {machine}"
            ),
            (Some(remote), None) => format!(
                "the truth is branch {ledger} of {remote}, which this repository does not know"
            ),
        }
    }
}
