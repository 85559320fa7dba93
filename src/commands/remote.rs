//! `git orch remote`: where the ledger's truth is.

use anyhow::Result;

use super::Ctx;
use crate::model::Power;
use crate::model::board::LOCAL;

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
pub fn run(ctx: &Ctx, args: RemoteArgs) -> Result<()> {
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
    if ctx.ui.is_json() {
        ctx.ui.json(&serde_json::json!({
            "authority": ledger.board().settings.authority,
            "remote": remote,
            "url": url,
            "ledger": ledger.branch(),
            "commit": ledger.tip().map(|tip| tip.to_string()),
            "machine": ledger.machine(),
        }));
        return Ok(());
    }
    match (remote, url) {
        (None, _) => ctx
            .ui
            .answer("this clone's ledger is the truth; no other machine can claim work"),
        (Some(remote), Some(url)) => ctx.ui.answer(&format!(
            "the truth is branch {} of {remote} ({url}); this machine is {}",
            ledger.branch(),
            ledger.machine()
        )),
        (Some(remote), None) => ctx.ui.answer(&format!(
            "the truth is branch {} of {remote}, which this repository does not know",
            ledger.branch()
        )),
    }
    Ok(())
}
