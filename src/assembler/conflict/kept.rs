//! Bundles as refs, so that no conflict is forgotten.

use anyhow::{Context as _, Result};

use super::{Bundle, Side};
use crate::error::UserError;
use crate::git::objects::{find_entry, splice};
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};

/// Where bundles are kept.
const PREFIX: &str = "refs/orch/conflict/";

/// Name of the bundle in its tree.
const FILE: &[u8] = b"bundle.json";

/// Keeps a bundle, in place of an earlier one of the same task or branch.
///
/// # Errors
///
/// The repository cannot be written.
pub fn keep(repo: &Repo, bundle: &Bundle) -> Result<()> {
    let text = serde_json::to_vec_pretty(bundle).context("cannot write a conflict as JSON")?;
    let id = |text: &str| {
        Oid::from_hex(text.as_bytes()).with_context(|| format!("`{text}` is no object id"))
    };
    let mut sides = Vec::new();
    for (number, file) in bundle.files.iter().enumerate() {
        let named = [
            ("base", &file.base),
            ("ours", &file.ours),
            ("theirs", &file.theirs),
        ];
        for (side, place) in named {
            // A submodule's commit is in another repository.
            let is_here = |side: &&Side| !side.mode.starts_with("16");
            if let Some(place) = place.as_ref().filter(is_here) {
                let name = format!("{number:02}.{side}");
                sides = splice(&sides, name.as_bytes(), Some((id(&place.id)?, false)));
            }
        }
    }
    let mut tree = splice(&[], FILE, Some((repo.write_blob(&text)?, false)));
    tree = splice(&tree, b"conflicted", Some((id(&bundle.conflicted)?, true)));
    if let Some(proposal) = &bundle.proposal {
        tree = splice(&tree, b"proposal", Some((id(&proposal.tree)?, true)));
    }
    tree = splice(&tree, b"sides", Some((repo.write_tree(&sides)?, true)));
    let tree = repo.write_tree(&tree)?;
    move_to(repo, bundle.name(), Some(tree)).map(std::mem::drop)
}

/// Forgets what is kept of a task or branch, and returns whether there was anything.
///
/// # Errors
///
/// The repository cannot be written.
pub fn drop(repo: &Repo, name: &str) -> Result<bool> {
    move_to(repo, name, None)
}

fn move_to(repo: &Repo, name: &str, new: Option<Oid>) -> Result<bool> {
    let reference = ref_name(name);
    let old = repo.read_ref(&reference)?;
    if old == new {
        return Ok(old.is_some());
    }
    repo.break_dead_lock(&reference)?;
    match repo.swap_refs(&[(&reference, old, new)], "orch: conflict")? {
        Swap::Won => Ok(old.is_some()),
        Swap::Lost => Err(UserError::new(format!(
            "someone else is writing about the conflict of {name}"
        ))
        .hint("git orch conflict list")
        .into()),
    }
}

/// Returns what is kept of a task or branch.
///
/// # Errors
///
/// What is kept cannot be read.
pub fn load(repo: &Repo, name: &str) -> Result<Option<Bundle>> {
    match repo.read_ref(&ref_name(name))? {
        Some(tree) => read(repo, tree, name).map(Some),
        None => Ok(None),
    }
}

/// Returns all bundles that are kept, ordered by name; in place of one that cannot be read, its ref and why.
///
/// # Errors
///
/// The refs cannot be listed.
pub fn list(repo: &Repo) -> Result<Vec<Result<Bundle, (String, anyhow::Error)>>> {
    let listed = repo
        .git()
        .args(["for-each-ref", "--format=%(objectname) %(refname)", PREFIX])
        .read()?;
    listed
        .lines()
        .map(|line| {
            let (id, name) = line.split_once(' ').context("git listed no ref")?;
            let tree = Oid::from_hex(id.as_bytes()).context("git listed no object id")?;
            Ok(read(repo, tree, name).map_err(|error| (name.to_owned(), error)))
        })
        .collect()
}

fn read(repo: &Repo, tree: Oid, name: &str) -> Result<Bundle> {
    let read = || -> Result<Bundle> {
        let tree = repo.read_tree(tree)?;
        let entry = find_entry(&tree, FILE).context("it has no bundle.json")?;
        Ok(serde_json::from_slice(&repo.read_blob(entry.id)?)?)
    };
    read().with_context(|| format!("cannot read the conflict kept as {name}"))
}

/// Returns the ref of a name. A slash would make it a directory, where another name may be a file.
fn ref_name(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('%', "%25").replace('/', "%2F"))
}
