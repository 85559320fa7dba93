//! What a branch touches on the tip's tree, and which pairs of branches touch each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

/// The paths in which a branch, merged onto the tip, differs from the tip.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// Files that are there before and after.
    pub changed: Vec<Vec<u8>>,
    /// Files that are new; of a rename, the name that it goes to.
    pub added: Vec<Vec<u8>>,
    /// Files that are gone; of a rename, the name that it comes from.
    pub removed: Vec<Vec<u8>>,
    /// Directories that are gone with all that was in them.
    pub gone: Vec<Vec<u8>>,
}

impl Footprint {
    /// Returns all files that it touches.
    pub fn files(&self) -> impl Iterator<Item = &[u8]> {
        let all = self.changed.iter().chain(&self.added).chain(&self.removed);
        all.map(Vec::as_slice)
    }

    /// Returns whether there is nothing that it touches.
    pub fn is_empty(&self) -> bool {
        self.files().next().is_none()
    }
}

/// Returns the pairs of branches that may conflict, each with its smaller position first.
///
/// Two branches may conflict where they touch the same file; where one has a file at a place that is a
/// directory to the other; and where one adds a file to a directory that the other has taken away, which to
/// git may be a directory that was renamed. All other pairs merge cleanly onto the tip one after the other.
pub fn pairs(footprints: &[Option<&Footprint>]) -> BTreeSet<(usize, usize)> {
    let mut by_file: HashMap<&[u8], Vec<usize>> = HashMap::new();
    let mut by_gone: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    let all = || {
        let numbered = footprints.iter().enumerate();
        numbered.filter_map(|(branch, footprint)| Some((branch, (*footprint)?)))
    };
    for (branch, footprint) in all() {
        for file in footprint.files() {
            by_file.entry(file).or_default().push(branch);
        }
        for directory in &footprint.gone {
            by_gone.entry(directory).or_default().push(branch);
        }
    }
    let mut found = BTreeSet::new();
    let mut note = |one: usize, other: usize| {
        if one != other {
            found.insert((one.min(other), one.max(other)));
        }
    };
    for branches in by_file.values() {
        for (position, one) in branches.iter().enumerate() {
            for other in &branches[position + 1..] {
                note(*one, *other);
            }
        }
    }
    for (branch, footprint) in all() {
        for file in footprint.files() {
            for directory in directories(file) {
                for other in by_file.get(directory).into_iter().flatten() {
                    note(branch, *other);
                }
            }
        }
        for file in footprint.added.iter().filter(|_| !by_gone.is_empty()) {
            for directory in directories(file) {
                for other in by_gone.get(directory).into_iter().flatten() {
                    note(branch, *other);
                }
            }
        }
    }
    found
}

/// Returns the directories above a file, nearest first, the top left out.
fn directories(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = file.iter().enumerate().rev();
    slashes
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| &file[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(paths: &[&str]) -> Vec<Vec<u8>> {
        paths.iter().map(|path| path.as_bytes().to_vec()).collect()
    }

    fn changes(paths: &[&str]) -> Footprint {
        Footprint {
            changed: list(paths),
            ..Footprint::default()
        }
    }

    fn found(footprints: &[Footprint]) -> Vec<(usize, usize)> {
        let some: Vec<_> = footprints.iter().map(Some).collect();
        pairs(&some).into_iter().collect()
    }

    #[test]
    fn the_same_file_makes_a_pair_and_the_same_directory_does_not() {
        let all = [
            changes(&["a/x", "b"]),
            changes(&["a/y"]),
            changes(&["a/y", "a/x"]),
        ];
        assert_eq!(found(&all), [(0, 2), (1, 2)]);
    }

    #[test]
    fn a_file_where_another_has_a_directory_makes_a_pair() {
        let file = Footprint {
            added: list(&["a"]),
            ..Footprint::default()
        };
        let below = Footprint {
            added: list(&["a/b/c"]),
            ..Footprint::default()
        };
        assert_eq!(found(&[file, below, changes(&["ab"])]), [(0, 1)]);
    }

    #[test]
    fn both_names_of_a_rename_count() {
        let renamed = Footprint {
            removed: list(&["old"]),
            added: list(&["new"]),
            ..Footprint::default()
        };
        let all = [changes(&["old"]), renamed, changes(&["new"])];
        assert_eq!(found(&all), [(0, 1), (1, 2)]);
    }

    #[test]
    fn a_new_file_in_a_directory_that_moved_makes_a_pair() {
        let moved = Footprint {
            removed: list(&["d/s/f"]),
            added: list(&["e/s/f"]),
            gone: list(&["d", "d/s"]),
            ..Footprint::default()
        };
        let added = Footprint {
            added: list(&["d/t/new"]),
            ..Footprint::default()
        };
        let elsewhere = Footprint {
            added: list(&["dd/new"]),
            ..Footprint::default()
        };
        assert_eq!(found(&[moved, added, elsewhere]), [(0, 1)]);
    }

    #[test]
    fn branches_without_a_footprint_are_in_no_pair() {
        let one = changes(&["a"]);
        assert!(pairs(&[Some(&one), None, None]).is_empty());
        assert!(Footprint::default().is_empty() && !one.is_empty());
    }
}
