//! What differs between two trees, read without starting git: a landing is looked at three times, each for
//! what a few files changed.

use anyhow::{Context as _, Result};

use super::history::ChangedPath;
use super::objects::entries_with_modes;
use super::{Oid, Repo};

/// The mode of a directory.
const DIRECTORY: u32 = 0o040_000;

/// One side's entry: its mode and object.
type Side = (u32, Oid);

impl Repo {
    /// Returns the paths that differ between two trees, directories opened, in git's order; renames show as
    /// removed and added.
    ///
    /// # Errors
    ///
    /// A tree is missing or malformed.
    pub(super) fn tree_difference(&self, old: Oid, new: Oid) -> Result<Vec<ChangedPath>> {
        let mut changed = Vec::new();
        self.compare_trees(Some(old), Some(new), b"", &mut changed)?;
        changed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(changed)
    }

    fn compare_trees(
        &self,
        old: Option<Oid>,
        new: Option<Oid>,
        prefix: &[u8],
        changed: &mut Vec<ChangedPath>,
    ) -> Result<()> {
        if old == new {
            return Ok(());
        }
        let read = |id: Option<Oid>| id.map_or(Ok(Vec::new()), |id| self.read_tree(id));
        let (old, new) = (read(old)?, read(new)?);
        let mut sides: std::collections::BTreeMap<&[u8], (Option<Side>, Option<Side>)> =
            std::collections::BTreeMap::new();
        for (entry, mode) in entries_with_modes(&old).context("a tree is malformed")? {
            sides.entry(entry.name).or_default().0 = Some((mode, entry.id));
        }
        for (entry, mode) in entries_with_modes(&new).context("a tree is malformed")? {
            sides.entry(entry.name).or_default().1 = Some((mode, entry.id));
        }
        for (name, (before, after)) in sides {
            if before == after {
                continue;
            }
            let path = join(prefix, name);
            let tree =
                |side: Option<Side>| side.filter(|side| side.0 == DIRECTORY).map(|side| side.1);
            let file = |side: Option<Side>| side.filter(|side| side.0 != DIRECTORY);
            self.compare_trees(tree(before), tree(after), &path, changed)?;
            let (old, new) = (file(before), file(after));
            if old != new {
                let null = (0, Oid::null(gix::hash::Kind::Sha1));
                changed.push(ChangedPath {
                    path,
                    old: old.unwrap_or(null),
                    new: new.unwrap_or(null),
                });
            }
        }
        Ok(())
    }
}

fn join(prefix: &[u8], name: &[u8]) -> Vec<u8> {
    if prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}
