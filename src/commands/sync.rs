//! `git orch sync`: one round of give and take with the remote.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::Ctx;
use crate::answer::{Answer, Reply};
use crate::model::{AgentId, Attempt, MachineId, Power, TaskId};
use crate::report::text::count;
use crate::ui::Paint;

/// Exchange everything with the remote once
///
/// Fetches the ledger, everybody's branches and leases; pushes what is not there yet; renews this machine's
/// lease while it holds claims; and takes over claims whose machine has not renewed its own for the whole
/// time, as seen from here. Executors do it by themselves.
#[derive(Debug, clap::Args)]
pub struct SyncArgs {}

/// Runs the command.
///
/// # Errors
///
/// The remote cannot be reached, or its ledger does not build on what was seen of it.
pub fn run(ctx: &Ctx, SyncArgs {}: SyncArgs) -> Result<Reply> {
    ctx.require(Power::Sync)?;
    let mut ledger = ctx.ledger_to_build_on()?;
    let synced = ledger.sync()?;
    let expired = synced
        .expired
        .into_iter()
        .map(|(expired, outcome)| Expired {
            task: expired.claim.task,
            agent: expired.claim.agent,
            attempt: expired.claim.attempt,
            machine: expired.machine,
            seconds: expired.unmoved.as_secs(),
            taken_over: outcome.is_ok(),
            refused: outcome.err().map(|refusal| refusal.message),
        });
    ctx.answer(&Exchanged {
        remote: synced.remote,
        ledger: ledger.tip().map(|tip| tip.to_string()),
        received: synced.received,
        sent: synced.sent,
        branches: synced.branches,
        kept_back: synced.kept_back,
        renewed: synced.renewed,
        expired: expired.collect(),
    })
}

/// What one exchange with the remote came to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Exchanged {
    /// The remote; null where this clone's ledger is the truth.
    remote: Option<String>,
    /// The ledger's tip.
    ledger: Option<String>,
    /// Transitions that came in.
    received: usize,
    /// Whether commits made by hand on the ledger were sent.
    sent: bool,
    /// Branches that were sent.
    branches: Vec<String>,
    /// Branches that were not sent, and why.
    kept_back: Vec<String>,
    /// Whether this machine's lease was renewed.
    renewed: bool,
    /// Claims whose lease had run out.
    expired: Vec<Expired>,
}

/// A claim whose lease had run out.
#[derive(Debug, Serialize, JsonSchema)]
struct Expired {
    task: TaskId,
    agent: AgentId,
    attempt: Attempt,
    machine: Option<MachineId>,
    /// For how long its lease was not renewed, as seen from here.
    seconds: u64,
    taken_over: bool,
    /// Why it was not taken over.
    #[serde(skip)]
    refused: Option<String>,
}

impl Answer for Exchanged {
    fn text(&self, _: Paint) -> String {
        let mut lines = Vec::new();
        match &self.remote {
            None => lines.push(String::from(
                "this clone's ledger is the truth: there is nothing to exchange",
            )),
            Some(remote) => {
                let received = count(self.received, "transition");
                lines.push(format!("in step with {remote}: {received} received"));
                if self.sent {
                    lines.push(String::from("commits made by hand on the ledger were sent"));
                }
                if !self.branches.is_empty() {
                    lines.push(format!("sent {}", self.branches.join(", ")));
                }
                lines.extend(
                    self.kept_back
                        .iter()
                        .map(|told| format!("not sent: {told}")),
                );
                if self.renewed {
                    lines.push(String::from(
                        "the lease of this machine's claims was renewed",
                    ));
                }
            }
        }
        lines.extend(self.expired.iter().map(|one| match &one.refused {
            None => format!(
                "took {} from agent {} (attempt {}): its lease had run out",
                one.task, one.agent, one.attempt
            ),
            Some(refused) => format!("{}: {refused}", one.task),
        }));
        lines.join("\n")
    }
}
