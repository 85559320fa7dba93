//! `git orch signers`: whose signatures count.

use anyhow::Result;

use super::Ctx;
use crate::model::{Op, Signer};

/// Show and change whose signatures count
///
/// With `git orch init --signing ssh` every transition is signed by the machine that writes it, every commit of an
/// agent by the agent; keys are made on each machine and enrolled by it. A further machine or a person is added here,
/// on a machine that may sign already. Agents' keys count for their own commits, never for transitions.
#[derive(Debug, clap::Args)]
pub struct SignersArgs {
    #[command(subcommand)]
    command: SignersCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SignersCommand {
    /// List who may sign
    List,
    /// Let somebody sign
    Add {
        /// Who: a person's address, or `executor-<machine>@orch` as `git orch signers machine` prints it
        who: String,
        /// Kind and key, as they stand in a `.pub` file
        key: String,
    },
    /// Let somebody sign no more; what was signed before is not checked again
    Remove {
        /// Who
        who: String,
    },
    /// Print this machine's name and key for `signers add` elsewhere; makes the key where there is none
    Machine,
}

/// Runs the command.
///
/// # Errors
///
/// Whoever asks may not, there is no such signer, or that is no key.
pub fn run(ctx: &Ctx, args: SignersArgs) -> Result<()> {
    let mut ledger = ctx.ledger()?;
    let op = match args.command {
        SignersCommand::List => {
            let signers = &ledger.board().signers;
            if ctx.ui.is_json() {
                ctx.ui.json(&serde_json::json!({
                    "signing": ledger.board().settings.signing,
                    "signers": signers,
                }));
            } else if signers.is_empty() {
                ctx.ui.answer("nobody: nothing is signed here");
            }
            for signer in signers.iter().filter(|_| !ctx.ui.is_json()) {
                ctx.ui
                    .answer(&format!("{} {}", signer.principal, signer.key));
            }
            return Ok(());
        }
        SignersCommand::Machine => {
            ctx.require(crate::model::Power::Sync)?;
            let signer = ledger.machine_signer()?;
            if ctx.ui.is_json() {
                ctx.ui.json(&signer);
            } else {
                ctx.ui
                    .answer(&format!("{} '{}'", signer.principal, signer.key));
            }
            return Ok(());
        }
        SignersCommand::Add { who, key } => {
            let words: Vec<&str> = key.split_whitespace().take(2).collect();
            Op::Enroll(vec![Signer {
                principal: who,
                key: words.join(" "),
            }])
        }
        SignersCommand::Remove { who } => Op::Dismiss(who),
    };
    let done = ledger.transact(op)?;
    if ctx.ui.is_json() {
        ctx.ui.json(&serde_json::json!({
            "commit": done.commit.map(|commit| commit.to_string()),
        }));
    } else if done.changed() {
        ctx.ui.answer(&done.subject);
    } else {
        ctx.ui.answer("it is so already");
    }
    Ok(())
}
