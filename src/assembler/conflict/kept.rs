//! Bundles as refs, so that no conflict is forgotten.

use anyhow::{Context as _, Result, anyhow, bail};

use super::{Bundle, FORMAT, Side};
use crate::error::UserError;
use crate::git::objects::{find_entry, splice};
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};
use crate::model::branch;
use crate::seal::Seal;

/// Where bundles are kept.
const PREFIX: &str = "refs/orch/conflict/";

/// Most bytes of a bundle: fifty files with all that is rendered of them are less.
const MOST_BYTES: usize = 64 << 20;

/// What the seal says that it is.
const SEALED: &str = "conflict";

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
    // Without a seal it is shown, and nothing is learnt by it.
    if let Ok(seal) = Seal::of(repo) {
        let seal = format!("{}\n", seal.over(SEALED, &text).to_hex());
        let blob = repo.write_blob(seal.as_bytes())?;
        tree = splice(&tree, b"seal", Some((blob, false)));
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

/// Returns what is kept of a task or branch, where this user's git-orch has kept it here.
///
/// # Errors
///
/// As [`load`].
pub fn load_ours(repo: &Repo, name: &str) -> Result<Option<Bundle>> {
    let Some(tree) = repo.read_ref(&ref_name(name))? else {
        return Ok(None);
    };
    let entries = repo.read_tree(tree)?;
    let blob = |name: &[u8], most| {
        let entry = find_entry(&entries, name)?;
        repo.read_blob_within(entry.id, most).ok()
    };
    let (Some(text), Some(seal)) = (blob(FILE, MOST_BYTES), blob(b"seal", 100)) else {
        return Ok(None);
    };
    let said = blake3::Hash::from_hex(seal.trim_ascii()).ok();
    let ours = Seal::of(repo)?.over(SEALED, &text);
    if said != Some(ours) {
        return Ok(None);
    }
    read(repo, tree, name).map(Some)
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
        let bundle = parse(&repo.read_blob_within(entry.id, MOST_BYTES)?)?;
        let own = ref_name(bundle.name());
        if name != own && name != bundle.name() {
            bail!("it is what was kept as {own}");
        }
        Ok(bundle)
    };
    read().with_context(|| format!("cannot read the conflict kept as {name}"))
}

/// Reads a bundle. What it names is looked up and shown, so that each must be what it says it is.
fn parse(bytes: &[u8]) -> Result<Bundle> {
    let bundle: Bundle = serde_json::from_slice(bytes)?;
    if bundle.format != FORMAT {
        bail!(
            "its format is {}, and this git-orch reads {FORMAT}",
            bundle.format
        );
    }
    for name in [&bundle.branch, &bundle.target] {
        branch::check(name)
            .map_err(|why| anyhow!("`{}` is no branch: {why}", name.escape_debug()))?;
    }
    let ids = [&bundle.head, &bundle.tip, &bundle.conflicted];
    let ids = ids.into_iter().chain(&bundle.bases);
    let landed = bundle.landed.iter().map(|landed| &landed.commit);
    let proposed = bundle.proposal.iter().map(|one| &one.tree);
    for id in ids.chain(landed).chain(proposed) {
        Oid::from_hex(id.as_bytes())
            .map_err(|_| anyhow!("`{}` is no object id", id.escape_debug()))?;
    }
    Ok(bundle)
}

/// Returns the ref of a name. A slash would make it a directory, where another name may be a file.
fn ref_name(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('%', "%25").replace('/', "%2F"))
}

#[cfg(test)]
mod tests;
