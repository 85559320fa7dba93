//! What differs between kinds of train: a plan's tasks, or any list of branches.

use std::path::PathBuf;

use anyhow::Result;

use super::conflict::{How, Whose};
use super::fault::Tried;
use crate::git::Oid;
use crate::git::refs::Swap;
use crate::model::train::risk::Signs;
use crate::model::train::{Outcome, Verdict};

/// Where branches go, and who is told what became of them.
pub(super) trait Lane {
    /// Full name of the branch that moves.
    fn target(&self) -> &str;

    /// Returns the head of a car that may be merged onto a tip, or what keeps it from that.
    fn ready(&mut self, position: usize, tip: Oid) -> Tried<Ready>;

    /// Returns what is known of a car's author.
    fn signs(&self, position: usize) -> Signs;

    /// Returns the message of the commit that brings a car in.
    fn message(&self, position: usize) -> String;

    /// Returns the key that such a commit is signed with, where it is.
    fn key(&self) -> Result<Option<PathBuf>>;

    /// Moves the target from a tip to the last of some merges, and records them.
    fn land(&mut self, landed: &[Landed], tip: Oid) -> Result<Swap>;

    /// Records a car whose head was in the target already; returns what it came to.
    fn found(&mut self, position: usize, head: Oid, tip: Oid) -> Result<Outcome>;

    /// Records a car that is sent back: verdict, reason in a line, findings.
    fn sent_back(
        &mut self,
        position: usize,
        verdict: Verdict,
        reason: &str,
        findings: &str,
    ) -> Result<()>;

    /// Returns whose a car is.
    fn whose(&self, position: usize) -> Whose;
}

/// Whether a car can be merged.
pub(super) enum Ready {
    /// This commit can be merged.
    Go(Oid),
    /// This commit is in the target already.
    In(Oid),
    /// It is not merged, which is nobody's fault.
    Not(Outcome),
    /// It breaks a rule: reason, findings.
    Bad(String, String),
}

/// One car's merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Landed {
    pub(super) position: usize,
    pub(super) head: Oid,
    pub(super) commit: Oid,
    pub(super) tree: Oid,
    /// What it was merged onto.
    pub(super) onto: Oid,
    /// Where its resolution comes from, where git alone found none: it must pass, or it is a conflict.
    pub(super) second_try: Option<How>,
}
