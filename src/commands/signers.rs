//! `git orch signers`: whose signatures count.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::model::{Op, Power, Signer, Signing};
use crate::ui::Paint;

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
pub fn run(ctx: &Ctx, args: SignersArgs) -> Result<Reply> {
    let mut ledger = ctx.ledger()?;
    let op = match args.command {
        SignersCommand::List => {
            return ctx.answer(&Signers {
                signing: ledger.board().settings.signing,
                signers: ledger.board().signers.clone(),
            });
        }
        SignersCommand::Machine => {
            ctx.require(Power::Sync)?;
            return ctx.answer(&ledger.machine_signer()?);
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
    ctx.answer(&SignersChanged {
        commit: done.commit.map(|commit| commit.to_string()),
        subject: done.subject,
    })
}

/// Who may sign.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Signers {
    /// Whether anything is signed here.
    signing: Signing,
    signers: Vec<Signer>,
}

impl Answer for Signers {
    fn text(&self, _: Paint) -> String {
        if self.signers.is_empty() {
            return String::from("nobody: nothing is signed here");
        }
        let lines = self.signers.iter();
        let lines: Vec<String> = lines
            .map(|signer| format!("{} {}", signer.principal, signer.key))
            .collect();
        lines.join("\n")
    }
}

/// This machine's name and key, as `signers add` takes them.
impl Answer for Signer {
    fn text(&self, _: Paint) -> String {
        format!("{} '{}'", self.principal, self.key)
    }
}

/// What `signers add` and `signers remove` came to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SignersChanged {
    /// The ledger's new commit; null where nothing changed.
    commit: Option<String>,
    #[serde(skip)]
    subject: String,
}

impl Answer for SignersChanged {
    fn text(&self, _: Paint) -> String {
        match self.commit {
            Some(_) => self.subject.clone(),
            None => String::from("it is so already"),
        }
    }
}
