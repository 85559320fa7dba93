//! Agents' keys: made and put on the ledger before their worktrees sign with them, and gone where nothing is signed.

use anyhow::Result;

use crate::ledger::Ledger;
use crate::ledger::signatures::agent_key;
use crate::model::{Actor, AgentId, Op};

/// Brings agents' keys in line with the ledger's word about signing.
///
/// # Errors
///
/// A key cannot be made, or the ledger cannot be written.
pub fn keep(ledger: &mut Ledger, agents: &[AgentId]) -> Result<()> {
    if !ledger.board().is_signed() {
        for agent in agents {
            let key = agent_key(ledger.repo(), *agent);
            // The worktree's configuration signs where there is a key.
            if key.exists() {
                std::fs::remove_file(&key)?;
            }
        }
        return Ok(());
    }
    let strangers = ledger.strangers(agents)?;
    if strangers.is_empty() {
        return Ok(());
    }
    // It is this machine that vouches for its agents, whoever asks.
    ledger
        .transact_as(Actor::Executor, Op::Enroll(strangers))
        .map(drop)
}
