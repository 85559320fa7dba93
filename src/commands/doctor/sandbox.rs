//! Which sandboxes work here, and whether the plan asks for one that does not.

use anyhow::Result;

use super::finding::Finding;
use crate::error::UserError;
use crate::ledger::Ledger;
use crate::model::Sandbox;
use crate::process::landlock;
use crate::workspace::sandbox::{require, works};

/// Returns what this machine can keep agents in, in one line.
pub(super) fn told() -> String {
    let support = landlock::support();
    let landlock = match (support.files, support.network, support.signals) {
        (false, _, _) => "landlock does not work here (it needs Linux 6.2 and to be switched on)",
        (true, false, _) => "landlock works for files, not for the network and signals",
        (true, true, false) => "landlock works for files and TCP, not for signals",
        (true, true, true) => "landlock works for files, TCP and signals",
    };
    let bwrap = match works(&Sandbox::Bwrap, true) {
        Ok(()) => String::from("bwrap works"),
        Err(why) => format!("bwrap does not: {why}"),
    };
    format!("sandboxes: {landlock}; {bwrap}")
}

pub(super) fn check(ledger: &Ledger) -> Result<Vec<Finding>> {
    let Err(error) = require(ledger.repo(), ledger.board()) else {
        return Ok(Vec::new());
    };
    match error.downcast_ref::<UserError>() {
        Some(user) => Ok(vec![Finding::new(
            "sandbox-missing",
            "plan",
            user.message.clone(),
        )]),
        None => Err(error),
    }
}
