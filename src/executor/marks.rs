//! Marks of claims that are about to be made, so that those of a killed executor are known as its own.
//!
//! Which task a claim is for is known only when it is made. Its operation's id is known before, and stands on
//! the ledger afterwards: a file of that name under `<common>/orch/claims/` tells that the claim was an
//! executor's. The id is the mark of the attempt's processes as well.

use std::path::PathBuf;

use anyhow::Result;

use crate::git::Repo;
use crate::model::OpId;
use crate::seal;

/// What a mark's seal says that it is.
const SEALED: &str = "claim";

/// Leaves the mark of a claim that is about to be made.
///
/// # Errors
///
/// It cannot be written.
pub(super) fn announce(repo: &Repo, id: &OpId) -> Result<()> {
    seal::replace(repo, &path(repo, id), SEALED, id.0.clone().into_bytes())
}

/// Removes the mark of a claim that was not made, or whose attempt has a mark of its own.
pub(super) fn forget(repo: &Repo, id: &OpId) {
    // A mark that stays is one that no claim on the ledger bears, or that says the truth.
    let _ = std::fs::remove_file(path(repo, id));
}

/// Returns whether an executor here has announced a claim.
pub(super) fn is_announced(repo: &Repo, id: &OpId) -> bool {
    let said = seal::read(repo, &path(repo, id), SEALED).ok().flatten();
    said.is_some_and(|said| said == id.0.as_bytes())
}

/// Removes all marks, once what they told of is taken up.
pub(super) fn clear(repo: &Repo) {
    let _ = std::fs::remove_dir_all(dir(repo));
}

fn dir(repo: &Repo) -> PathBuf {
    repo.orch_dir().join("claims")
}

fn path(repo: &Repo, id: &OpId) -> PathBuf {
    dir(repo).join(&id.0)
}
