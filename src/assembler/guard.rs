//! The land guard: what must hold of a commit before a branch moves to it, whatever merged it.
//!
//! It does not trust the merge engine or the steps before it: a queue elsewhere landed wrong
//! trees for thousands of branches because nothing looked once more.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::git::{ChangedPath, Merge, Oid, Repo};

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
    /// What it was merged over, where that is not what the two have in common.
    pub(super) base: Option<Oid>,
}

/// What was merged, and over what.
pub(super) struct Merged {
    pub(super) base: Oid,
    pub(super) ours: Oid,
    pub(super) theirs: Oid,
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
    let bases = match landing.base {
        Some(base) => vec![base],
        None => repo.merge_bases(landing.tip, landing.head)?,
    };
    // In criss-cross history git merges the bases first; there is no single tree to compare with.
    let &[base] = bases.as_slice() else {
        return Ok(Ok(()));
    };
    let merged = Merged {
        base,
        ours: landing.tip,
        theirs: landing.head,
        tree: landing.tree,
    };
    check_merge(repo, &merged, || {
        if let Some(base) = landing.base {
            let again = repo.merge_tree_over(base, landing.tip, landing.head)?;
            return Ok(again == Merge::Clean(landing.tree));
        }
        if let Merge::Clean(again) = repo.merge_tree(landing.tip, landing.head)? {
            return Ok(again == landing.tree);
        }
        let Some(conflicted) = repo.conflicted(landing.tip, landing.head)? else {
            return Ok(false);
        };
        // A second try decides what is in conflict, and nothing else.
        let open: BTreeSet<&[u8]> = conflicted.files.iter().map(|f| f.path.as_bytes()).collect();
        let decided = repo.changed_paths(conflicted.tree, landing.tree)?;
        Ok(decided.iter().all(|c| open.contains(c.path.as_slice())))
    })
}

/// Checks a merge path by path; returns what is wrong with it.
///
/// Where files may have been renamed, what one side did to a path shows at another. Which paths are pairs is the
/// merge's to say, and git's diff pairs them otherwise: what the paths cannot explain by themselves must be what the
/// same merge gives once more, which `again` finds out.
pub(super) fn check_merge(
    repo: &Repo,
    merged: &Merged,
    again: impl FnOnce() -> Result<bool>,
) -> Result<Result<(), String>> {
    let ours = repo.changed_paths(merged.base, merged.ours)?;
    let theirs = repo.changed_paths(merged.base, merged.theirs)?;
    let landed = repo.changed_paths(merged.ours, merged.tree)?;
    let mut wrong = compare(&ours, &theirs, &landed);
    let Some(first) = wrong.values().next().cloned() else {
        return Ok(Ok(()));
    };
    for path in carried(&ours, &theirs).union(&carried(&theirs, &ours)) {
        wrong.remove(*path);
    }
    if let Some(why) = wrong.values().next() {
        return Ok(Err(why.clone()));
    }
    Ok(if again()? { Ok(()) } else { Err(first) })
}

/// Returns the paths at which another side's changes may come out where one side renamed files: it shows as one path
/// gone, which the other side changed, and one new.
fn carried<'a>(renamer: &'a [ChangedPath], other: &[ChangedPath]) -> BTreeSet<&'a [u8]> {
    let changed: BTreeSet<&[u8]> = other.iter().map(|c| c.path.as_slice()).collect();
    let gone = renamer.iter().filter(|c| c.new.0 == 0);
    let mut paths: BTreeSet<&[u8]> = gone
        .map(|c| c.path.as_slice())
        .filter(|path| changed.contains(path))
        .collect();
    if !paths.is_empty() {
        let new = renamer.iter().filter(|c| c.old.0 == 0);
        paths.extend(new.map(|c| c.path.as_slice()));
    }
    paths
}

/// Compares what landed with what each side changed; returns what is wrong, by path.
fn compare<'a>(
    ours: &'a [ChangedPath],
    theirs: &'a [ChangedPath],
    landed: &'a [ChangedPath],
) -> BTreeMap<&'a [u8], String> {
    fn by_path(changes: &[ChangedPath]) -> BTreeMap<&[u8], Blob> {
        let pair = |change: &'_ ChangedPath| change.new;
        changes
            .iter()
            .map(|c| (c.path.as_slice(), pair(c)))
            .collect()
    }
    let (ours, theirs, landed) = (by_path(ours), by_path(theirs), by_path(landed));
    let shown = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let mut wrong = BTreeMap::new();
    for (path, blob) in &landed {
        let why = match theirs.get(path) {
            None => format!(
                "{} would change, which the branch did not touch",
                shown(path)
            ),
            Some(wanted) if !ours.contains_key(path) && wanted != blob => {
                format!("{} would not be what the branch made of it", shown(path))
            }
            Some(_) => continue,
        };
        wrong.insert(*path, why);
    }
    for path in theirs.keys() {
        if !landed.contains_key(path) && !ours.contains_key(path) {
            let why = format!("the branch's change of {} would be lost", shown(path));
            wrong.insert(*path, why);
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(number: u8) -> (u32, Oid) {
        match number {
            0 => (0, Oid::from_bytes_or_panic(&[0; 20])),
            number => (0o100_644, Oid::from_bytes_or_panic(&[number; 20])),
        }
    }

    fn change(path: &str, old: u8, new: u8) -> ChangedPath {
        ChangedPath {
            path: path.as_bytes().to_vec(),
            old: blob(old),
            new: blob(new),
        }
    }

    #[test]
    fn a_landing_is_the_branchs_change_and_nothing_else() {
        let (a1, a2, b1) = (change("a", 9, 1), change("a", 9, 2), change("b", 9, 1));
        let one = std::slice::from_ref;
        assert!(compare(&[], one(&a1), one(&a1)).is_empty());
        assert!(compare(one(&b1), one(&a1), one(&a1)).is_empty());
        // Changed on both sides: any merge of it will do.
        assert!(compare(one(&a2), one(&a1), one(&change("a", 2, 3))).is_empty());
        let others = [
            vec![a2],
            vec![],
            vec![a1.clone(), b1.clone()],
            vec![a1.clone(), change("b", 1, 8)],
        ];
        for (landed, ours) in others.iter().zip([None, None, None, Some(b1)]) {
            let ours: Vec<ChangedPath> = ours.into_iter().collect();
            assert_eq!(compare(&ours, one(&a1), landed).len(), 1, "{landed:?}");
        }
    }

    #[test]
    fn only_what_was_changed_and_is_gone_may_come_out_elsewhere() {
        let ours = [change("a", 9, 0), change("b", 0, 9), change("c", 9, 1)];
        let moved = |other: &ChangedPath| {
            let moved = carried(&ours, std::slice::from_ref(other));
            let moved = moved
                .into_iter()
                .map(|path| String::from_utf8_lossy(path).into_owned());
            moved.collect::<Vec<_>>()
        };
        assert_eq!(moved(&change("a", 9, 1)), ["a", "b"]);
        for untouched in ["b", "c", "d"] {
            assert!(moved(&change(untouched, 9, 1)).is_empty(), "{untouched}");
        }
    }
}
