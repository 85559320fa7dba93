//! The land guard: what must hold of a commit before a branch moves to it, whatever merged it.
//!
//! It does not trust the merge engine or the steps before it (facts.md 19): a queue elsewhere landed wrong
//! trees for thousands of branches because nothing looked once more.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::git::{ChangedPath, Oid, Repo};

/// What is about to land.
pub(super) struct Landing {
    /// Where the target is.
    pub(super) tip: Oid,
    /// The branch.
    pub(super) head: Oid,
    /// The commit that the target moves to.
    pub(super) commit: Oid,
    /// The tree that was merged and tested.
    pub(super) tree: Oid,
}

/// A path's mode and object after a change.
type Blob = (u32, Oid);

/// Checks a landing; returns what is wrong with it.
pub(super) fn check(repo: &Repo, landing: &Landing) -> Result<Result<(), String>> {
    let data = repo.read_commit(landing.commit)?;
    if data.tree != landing.tree {
        return Ok(Err(String::from("the commit's tree is not the tested one")));
    }
    if data.parents != [landing.tip, landing.head] {
        return Ok(Err(String::from(
            "the commit does not join the target's tip and the branch's head",
        )));
    }
    let bases = repo.merge_bases(landing.tip, landing.head)?;
    // In criss-cross history git merges the bases first; there is no single tree to compare with.
    let &[base] = bases.as_slice() else {
        return Ok(Ok(()));
    };
    let ours = repo.changed_paths(base, landing.tip)?;
    let theirs = repo.changed_paths(base, landing.head)?;
    let landed = repo.changed_paths(landing.tip, landing.commit)?;
    let mut exempt = BTreeSet::new();
    for (end, changes) in [(landing.tip, &ours), (landing.head, &theirs)] {
        if may_rename(changes) {
            for renamed in repo.renamed_paths(base, end)? {
                exempt.extend([renamed.from, renamed.to]);
            }
        }
    }
    Ok(compare(&ours, &theirs, &landed, &exempt))
}

/// A rename shows as one path gone and one new.
fn may_rename(changes: &[ChangedPath]) -> bool {
    changes.iter().any(|change| change.old.0 == 0) && changes.iter().any(|change| change.new.0 == 0)
}

/// Compares what landed with what each side changed.
fn compare(
    ours: &[ChangedPath],
    theirs: &[ChangedPath],
    landed: &[ChangedPath],
    exempt: &BTreeSet<Vec<u8>>,
) -> Result<(), String> {
    fn by_path(changes: &[ChangedPath]) -> BTreeMap<&[u8], Blob> {
        let pair = |change: &'_ ChangedPath| change.new;
        changes
            .iter()
            .map(|c| (c.path.as_slice(), pair(c)))
            .collect()
    }
    let (ours, theirs, landed) = (by_path(ours), by_path(theirs), by_path(landed));
    let shown = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    for (path, blob) in &landed {
        if exempt.contains(*path) {
            continue;
        }
        let Some(wanted) = theirs.get(path) else {
            return Err(format!(
                "{} would change, which the branch did not touch",
                shown(path)
            ));
        };
        if !ours.contains_key(path) && wanted != blob {
            return Err(format!(
                "{} would not be what the branch made of it",
                shown(path)
            ));
        }
    }
    for path in theirs.keys() {
        if !landed.contains_key(path) && !ours.contains_key(path) && !exempt.contains(*path) {
            return Err(format!(
                "the branch's change of {} would be lost",
                shown(path)
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: &str, new: u8) -> ChangedPath {
        let id = |byte| Oid::from_bytes_or_panic(&[byte; 20]);
        ChangedPath {
            path: path.as_bytes().to_vec(),
            old: (0o100_644, id(0)),
            new: (0o100_644, id(new)),
        }
    }

    #[test]
    fn a_landing_is_the_branchs_change_and_nothing_else() {
        let none = BTreeSet::new();
        let (a1, a2, b1) = (change("a", 1), change("a", 2), change("b", 1));
        let one = std::slice::from_ref;
        assert!(compare(&[], one(&a1), one(&a1), &none).is_ok());
        assert!(compare(one(&b1), one(&a1), one(&a1), &none).is_ok());
        // Changed on both sides: any merge of it will do.
        assert!(compare(one(&a2), one(&a1), one(&change("a", 3)), &none).is_ok());
        let wrong = [
            compare(&[], one(&a1), one(&a2), &none),
            compare(&[], one(&a1), &[], &none),
            compare(&[], one(&a1), &[a1.clone(), b1.clone()], &none),
            compare(one(&b1), one(&a1), &[a1.clone(), change("b", 9)], &none),
        ];
        assert!(wrong.iter().all(Result::is_err), "{wrong:?}");
    }

    #[test]
    fn renamed_paths_are_left_to_the_merge() {
        let exempt = BTreeSet::from([b"a".to_vec(), b"b".to_vec()]);
        let (a, b) = (change("a", 1), change("b", 2));
        assert!(
            compare(
                &[],
                std::slice::from_ref(&a),
                std::slice::from_ref(&b),
                &exempt
            )
            .is_ok()
        );
    }
}
