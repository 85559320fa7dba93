//! Conflict markers that a merge of the branch has left: whoever commits them has decided nothing.
//!
//! Lines count that neither the branch's base nor the target it goes into has at the path, and nor had a parent of the
//! merge: documents and fixtures may hold such lines.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Branch, Finding};
use crate::git::{Oid, Repo};
use crate::model::gate::{Rule, shown};

/// The largest file that is looked into.
const MOST_BYTES: usize = 4 << 20;

/// Returns the paths of the head that still hold markers; `merges` are the branch's, each with its parents.
pub(super) fn check(
    repo: &Repo,
    branch: &Branch<'_>,
    merges: &[(Oid, Vec<Oid>)],
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let tree = |commit: Oid| repo.read_commit(commit).map(|commit| commit.tree);
    let Ok(head) = tree(branch.head) else {
        return Ok(findings);
    };
    let mut told = BTreeSet::new();
    let mut find = |commit: Oid, path: Vec<u8>| {
        if told.insert(path.clone()) {
            findings.push(Finding {
                commit,
                rule: Rule::Markers,
                what: format!("has conflict markers of a merge in `{}`", shown(&path)),
                help: String::from("decide each place, take the markers out, and commit"),
                paths: vec![path],
            });
        }
    };
    for (merge, parents) in merges {
        let &[ours, theirs] = parents.as_slice() else {
            continue;
        };
        // What git cannot merge again is told elsewhere.
        let Ok(Some(conflicted)) = repo.conflicted(ours, theirs) else {
            continue;
        };
        for file in &conflicted.files {
            let path = file.path.as_bytes();
            let sides = [ours, theirs].map(|side| tree(side).ok());
            if left(repo, head, path, sides.into_iter().flatten(), is_marker) {
                find(*merge, path.to_vec());
            }
        }
    }
    // Made no merge of, they are known by what a merge of ours calls its sides.
    let known = [branch.base, branch.tip].map(|commit| tree(commit).ok());
    let Some(base) = known[0] else {
        return Ok(findings);
    };
    for change in repo.changed_paths(base, head).unwrap_or_default() {
        let sides = known.into_iter().flatten();
        if change.new.0 != 0 && left(repo, head, &change.path, sides, is_of_ours) {
            find(branch.head, change.path);
        }
    }
    Ok(findings)
}

/// Whether a file has lines of a kind that no side of it has.
fn left(
    repo: &Repo,
    head: Oid,
    path: &[u8],
    sides: impl Iterator<Item = Oid>,
    kind: fn(&[u8]) -> bool,
) -> bool {
    let lines = |tree: Oid| -> BTreeSet<Vec<u8>> {
        let blob = repo.find_path(tree, path).ok().flatten();
        let text = blob.and_then(|blob| repo.read_blob_within(blob, MOST_BYTES).ok());
        let text = text.filter(|text| !text.contains(&0)).unwrap_or_default();
        let lines = text.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| kind(line));
        lines.map(<[u8]>::to_vec).collect()
    };
    let there = lines(head);
    if there.is_empty() {
        return false;
    }
    let known: BTreeSet<Vec<u8>> = sides.flat_map(lines).collect();
    there.iter().any(|line| !known.contains(line))
}

fn is_marker(line: &[u8]) -> bool {
    [&b"<<<<<<< "[..], b"||||||| ", b">>>>>>> "]
        .iter()
        .any(|mark| line.starts_with(mark))
}

/// Whether a line ends the part of a branch that git-orch began to merge.
fn is_of_ours(line: &[u8]) -> bool {
    let Some(name) = line.strip_prefix(b">>>>>>> ") else {
        return false;
    };
    let name = name.trim_ascii_end();
    let is_branch = name.starts_with(b"orch/") && name.ends_with(b"integration");
    is_branch || name.len() == 40 && name.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_known_by_their_beginning_and_ours_by_their_names() {
        for line in [
            "<<<<<<< HEAD",
            "||||||| 1234567",
            ">>>>>>> orch/integration\r",
        ] {
            assert!(is_marker(line.as_bytes()), "{line}");
        }
        for line in ["=======", "<<<<<<<", " <<<<<<< x", ">>>>>>>> x"] {
            assert!(!is_marker(line.as_bytes()), "{line}");
        }
        let id = format!(">>>>>>> {}", "a".repeat(40));
        for line in [
            ">>>>>>> orch/team-1/integration",
            ">>>>>>> orch/integration\r",
            &id,
        ] {
            assert!(is_of_ours(line.as_bytes()), "{line}");
        }
        for line in [">>>>>>> branch", "<<<<<<< HEAD", ">>>>>>> orch/team-1/a"] {
            assert!(!is_of_ours(line.as_bytes()), "{line}");
        }
    }
}
