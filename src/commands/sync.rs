//! `git orch sync`: one round of give and take with the remote.

use std::fmt::Write as _;

use anyhow::Result;

use super::Ctx;
use crate::ledger::sync::Synced;
use crate::model::Power;

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
pub fn run(ctx: &Ctx, SyncArgs {}: SyncArgs) -> Result<()> {
    ctx.require(Power::Sync)?;
    let mut ledger = ctx.ledger_to_build_on()?;
    let synced = ledger.sync()?;
    if ctx.ui.is_json() {
        let expired: Vec<_> = synced
            .expired
            .iter()
            .map(|(expired, outcome)| {
                serde_json::json!({
                    "task": expired.claim.task,
                    "agent": expired.claim.agent,
                    "attempt": expired.claim.attempt,
                    "machine": expired.machine,
                    "seconds": expired.unmoved.as_secs(),
                    "taken_over": outcome.is_ok(),
                })
            })
            .collect();
        ctx.ui.json(&serde_json::json!({
            "remote": synced.remote,
            "ledger": ledger.tip().map(|tip| tip.to_string()),
            "received": synced.received,
            "sent": synced.sent,
            "branches": synced.branches,
            "kept_back": synced.kept_back,
            "renewed": synced.renewed,
            "expired": expired,
        }));
    } else {
        ctx.ui.answer(text(&synced).trim_end());
    }
    Ok(())
}

fn text(synced: &Synced) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    match &synced.remote {
        None => text.push_str("this clone's ledger is the truth: there is nothing to exchange\n"),
        Some(remote) => {
            let plural = if synced.received == 1 {
                "transition"
            } else {
                "transitions"
            };
            let _ = writeln!(
                text,
                "in step with {remote}: {} {plural} received",
                synced.received
            );
            if synced.sent {
                text.push_str("commits made by hand on the ledger were sent\n");
            }
            if !synced.branches.is_empty() {
                let _ = writeln!(text, "sent {}", synced.branches.join(", "));
            }
            for told in &synced.kept_back {
                let _ = writeln!(text, "not sent: {told}");
            }
            if synced.renewed {
                text.push_str("the lease of this machine's claims was renewed\n");
            }
        }
    }
    for (expired, outcome) in &synced.expired {
        let claim = &expired.claim;
        let _ = match outcome {
            Ok(()) => writeln!(
                text,
                "took {} from agent {} (attempt {}): its lease had run out",
                claim.task, claim.agent, claim.attempt
            ),
            Err(refusal) => writeln!(text, "{}: {}", claim.task, refusal.message),
        };
    }
    text
}
