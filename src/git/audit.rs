//! Reads what commits really hold, for a judge who trusts nothing about them.
//!
//! Trees may be malformed, deeper than any stack, or small on disk and endless when opened: everything here is
//! bounded, works without recursion, and tells what is odd instead of failing on it. Replacement objects,
//! grafts, `shallow` files and commit-graphs, by which history can be shown as it is not, do not count.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use gix::objs::Kind;

use super::disk::library_error;
use super::{ChangedPath, Git, Oid, Repo};
use crate::model::gate::{names, shown};

/// The longest path that is opened.
const LONGEST_PATH: usize = 4096;

/// New names of one directory from which on a table finds twins quicker than looking at each pair.
const WORTH_A_TABLE: usize = 32;

/// How much of a difference is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Everything.
    Whole,
    /// Only whether the new trees are well formed.
    Form,
}

/// What a tree has that another has not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Paths that differ, directories opened, in order; renames show as removed and added.
    pub changes: Vec<ChangedPath>,
    /// Objects that are malformed or missing, by path, and how.
    pub malformed: Vec<(Vec<u8>, String)>,
    /// New names that no tree should have, by path, and why.
    pub bad_names: Vec<(Vec<u8>, String)>,
    /// New paths, each with a neighbour that is the same on some systems.
    pub twins: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether there was more than the number that was asked for.
    pub is_cut: bool,
}

impl Audit {
    /// Notes what is odd about an entry; returns whether it is looked into.
    fn look_at(&mut self, path: &[u8], old: Option<Item<'_>>, new: Option<Item<'_>>) -> bool {
        let Some(new) = new else {
            return path.len() <= LONGEST_PATH;
        };
        if old.is_none()
            && let Some(why) = names::why_bad(new.name)
        {
            self.bad_names.push((path.to_vec(), why));
        }
        if !is_mode(new.mode) && old.is_none_or(|old| old.mode != new.mode) {
            let why = format!("has the mode {}", shown(new.mode));
            self.malformed.push((path.to_vec(), why));
        }
        if path.len() <= LONGEST_PATH {
            return true;
        }
        let why = format!("is a path of more than {LONGEST_PATH} bytes");
        self.bad_names.push((path.to_vec(), why));
        false
    }
}

/// One entry of a raw tree.
#[derive(Clone, Copy)]
struct Item<'a> {
    mode: &'a [u8],
    name: &'a [u8],
    id: Oid,
    bytes: &'a [u8],
}

impl<'a> Item<'a> {
    fn split(tree: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let space = tree.iter().position(|byte| *byte == b' ')?;
        let end = space + tree[space..].iter().position(|byte| *byte == 0)?;
        let id = tree.get(end + 1..end + 21)?;
        let item = Self {
            mode: &tree[..space],
            name: &tree[space + 1..end],
            id: Oid::from_bytes_or_panic(id),
            bytes: &tree[..end + 21],
        };
        Some((item, &tree[end + 21..]))
    }

    fn is_tree(&self) -> bool {
        matches!(self.mode, b"40000" | b"040000")
    }

    fn mode(&self) -> u32 {
        let text = std::str::from_utf8(self.mode).unwrap_or_default();
        u32::from_str_radix(text, 8).unwrap_or_default()
    }

    /// Git sorts a directory as if its name ended with a slash.
    fn order(&self, other: &Self) -> Ordering {
        fn key<'k>(item: &Item<'k>) -> impl Iterator<Item = u8> + use<'k> {
            let slash = item.is_tree().then_some(b'/');
            item.name.iter().copied().chain(slash)
        }
        key(self).cmp(key(other))
    }
}

/// A directory that is yet to be compared.
struct Open {
    path: Vec<u8>,
    old: Option<Oid>,
    new: Option<Oid>,
}

impl Repo {
    /// Returns the bytes of a commit as they are.
    ///
    /// # Errors
    ///
    /// It is missing or no commit.
    pub fn read_raw_commit(&self, id: Oid) -> Result<Vec<u8>> {
        self.read_object(id, Kind::Commit)
    }

    /// Returns how large an object is; `None` where it is missing.
    ///
    /// # Errors
    ///
    /// The object store cannot be read.
    pub fn object_size(&self, id: Oid) -> Result<Option<u64>> {
        self.require_object_file(id)?;
        let found = self.gix.try_find_header(id);
        let found = found
            .map_err(|error| library_error(&error))
            .with_context(|| format!("cannot read object {id}"))
            .inspect_err(|error| self.note_failed_read(error))?;
        Ok(found.map(|header| header.size()))
    }

    /// Returns mode and object of a path in a tree; `None` where there is nothing, or nothing that can be read.
    pub fn entry_at(&self, tree: Oid, path: &[u8]) -> Option<(u32, Oid)> {
        let mut place = (0o040_000, tree);
        for part in path.split(|byte| *byte == b'/') {
            let bytes = (place.0 == 0o040_000).then(|| self.read_tree(place.1).ok())??;
            let mut rest = bytes.as_slice();
            place = loop {
                let (item, next) = Item::split(rest)?;
                if item.name == part {
                    break (item.mode(), item.id);
                }
                rest = next;
            };
        }
        Some(place)
    }

    /// Compares two trees; stops after a number of paths and directories.
    pub fn audit_trees(&self, old: Option<Oid>, new: Oid, depth: Depth, most: usize) -> Audit {
        let mut audit = Audit::default();
        let mut open = vec![Open {
            path: Vec::new(),
            old,
            new: Some(new),
        }];
        let mut visited = 0;
        while let Some(dir) = open.pop() {
            if dir.old == dir.new {
                continue;
            }
            visited += 1;
            if visited + audit.changes.len() > most {
                audit.is_cut = true;
                break;
            }
            self.compare_dirs(&dir, depth, &mut audit, &mut open);
        }
        audit.changes.sort_by(|a, b| a.path.cmp(&b.path));
        audit
    }

    fn compare_dirs(&self, dir: &Open, depth: Depth, audit: &mut Audit, open: &mut Vec<Open>) {
        // What was there before was judged before, or is a person's.
        let before = dir.old.and_then(|id| self.read_tree(id).ok());
        let before = before.unwrap_or_default();
        let after = match dir.new.map(|id| self.read_tree(id)).transpose() {
            Ok(after) => after.unwrap_or_default(),
            Err(error) => {
                audit
                    .malformed
                    .push((dir.path.clone(), format!("{error:#}")));
                return;
            }
        };
        let mut sides = Sides {
            before: &before,
            after: &after,
            last: None,
        };
        let mut added: Vec<&[u8]> = Vec::new();
        while let Some(pair) = sides.next() {
            let (old, new) = match pair {
                Ok(pair) => pair,
                Err(why) => {
                    audit.malformed.push((dir.path.clone(), why.to_owned()));
                    break;
                }
            };
            let Some(name) = new.or(old).map(|item| item.name) else {
                break;
            };
            let path = join(&dir.path, name);
            if old.is_none() {
                added.push(name);
            }
            if !audit.look_at(&path, old, new) {
                continue;
            }
            let tree = |item: Option<Item<'_>>| item.filter(Item::is_tree).map(|item| item.id);
            let file = |item: Option<Item<'_>>| {
                let item = item.filter(|item| !item.is_tree());
                item.map(|item| (item.mode(), item.id))
            };
            let (below_old, below_new) = (tree(old), tree(new));
            if below_new.is_some() || below_old.is_some() && depth == Depth::Whole {
                open.push(Open {
                    path: path.clone(),
                    old: below_old,
                    new: below_new,
                });
            }
            let (old, new) = (file(old), file(new));
            if old != new && depth == Depth::Whole {
                let nothing = (0, Oid::null(gix::hash::Kind::Sha1));
                audit.changes.push(ChangedPath {
                    path,
                    old: old.unwrap_or(nothing),
                    new: new.unwrap_or(nothing),
                });
            }
        }
        if depth == Depth::Whole {
            let twins = twins(&added, &after);
            let at = |name: &[u8]| join(&dir.path, name);
            audit
                .twins
                .extend(twins.iter().map(|(a, b)| (at(a), at(b))));
        }
    }

    /// Returns the neighbours of a path in a tree that are the same on some systems.
    pub fn twins_of(&self, tree: Oid, path: &[u8]) -> Vec<Vec<u8>> {
        let cut = path.iter().rposition(|byte| *byte == b'/');
        let (dir, name) = cut.map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
        let dir_id = match dir {
            b"" => Some(tree),
            dir => self.entry_at(tree, dir).map(|(_, id)| id),
        };
        let Some(bytes) = dir_id.and_then(|id| self.read_tree(id).ok()) else {
            return Vec::new();
        };
        let found = twins(&[name], &bytes);
        found.iter().map(|(_, twin)| join(dir, twin)).collect()
    }

    /// Returns the symbolic links of a tree with their targets' objects; stops after a number of entries.
    pub fn links(&self, tree: Oid, most: usize) -> BTreeMap<Vec<u8>, Oid> {
        let audit = self.audit_trees(None, tree, Depth::Whole, most);
        let links = audit.changes.into_iter();
        let links = links.filter(|change| change.new.0 == 0o120_000);
        links.map(|change| (change.path, change.new.1)).collect()
    }

    /// Returns a `git` command that reads history from the commits themselves.
    pub fn audit_git(&self) -> Git {
        self.true_git().args(["-c", "core.commitGraph=false"])
    }

    /// Returns the commits that some heads have and others have not, oldest first, and those at the border;
    /// stops after a number of commits. Heads that are gone count for nothing.
    ///
    /// # Errors
    ///
    /// A commit on the way cannot be read.
    pub fn added_commits(
        &self,
        heads: &[Oid],
        known: &[Oid],
        most: usize,
    ) -> Result<(Vec<Oid>, Vec<Oid>)> {
        let mut revisions = String::new();
        revisions.extend(heads.iter().map(|head| format!("{head}\n")));
        revisions.extend(known.iter().map(|known| format!("^{known}\n")));
        let listed = self
            .audit_git()
            .args(["rev-list", "--topo-order", "--boundary", "--ignore-missing"])
            .args([&format!("--max-count={most}"), "--stdin"])
            .stdin(revisions)
            .read()
            .context("cannot list the commits of a branch")?;
        let (mut added, mut border) = (Vec::new(), Vec::new());
        for line in listed.lines() {
            let (list, hex) = match line.strip_prefix('-') {
                Some(hex) => (&mut border, hex),
                None => (&mut added, line),
            };
            list.push(Oid::from_hex(hex.as_bytes()).context("git listed no commit")?);
        }
        added.reverse();
        Ok((added, border))
    }

    /// Returns the paths that commits change: of a merge those that differ from what merging its parents gives by
    /// itself, so that one which drops the other side's work shows it. No setting of the user's counts.
    ///
    /// # Errors
    ///
    /// Git cannot merge them again.
    pub fn paths_by_commit(&self, commits: &[Oid]) -> Result<HashMap<Oid, Vec<Vec<u8>>>> {
        let mut found: HashMap<Oid, Vec<Vec<u8>>> = HashMap::new();
        if commits.is_empty() {
            return Ok(found);
        }
        let input: String = commits.iter().map(|commit| format!("{commit}\n")).collect();
        let mut git = self.audit_git();
        for setting in super::merge::PINNED {
            git = git.args(["-c", setting]);
        }
        let bytes = git
            .args(["log", "--no-walk=unsorted", "--stdin", "--format=%H"])
            .args([
                "--no-show-signature",
                "--remerge-diff",
                "--root",
                "--no-renames",
            ])
            .args(["--ignore-submodules=none", "--name-only", "-z"])
            .stdin(input)
            .read_bytes()
            .context("cannot read what commits change")?;
        let mut expected = commits.iter().peekable();
        let mut current: Option<&mut Vec<Vec<u8>>> = None;
        for word in bytes
            .split(|byte| *byte == 0)
            .filter(|word| !word.is_empty())
        {
            // Each commit's id comes before its paths, in the order asked for; a line break leads the first path.
            let id = expected.next_if(|id| id.to_hex().to_string().as_bytes() == word);
            match (id, &mut current) {
                (Some(id), _) => current = Some(found.entry(*id).or_default()),
                (None, Some(paths)) if paths.is_empty() => {
                    paths.push(word.strip_prefix(b"\n").unwrap_or(word).to_vec());
                }
                (None, Some(paths)) => paths.push(word.to_vec()),
                (None, None) => anyhow::bail!("git named a path without its commit"),
            }
        }
        Ok(found)
    }
}

/// Two raw trees that are walked side by side.
struct Sides<'a> {
    before: &'a [u8],
    after: &'a [u8],
    /// The last entry of the new tree.
    last: Option<Item<'a>>,
}

type Pair<'a> = (Option<Item<'a>>, Option<Item<'a>>);

impl<'a> Sides<'a> {
    /// Returns the next entries that differ; an error where the new tree is malformed.
    fn next(&mut self) -> Option<Result<Pair<'a>, &'static str>> {
        loop {
            let old = Item::split(self.before);
            if self.after.is_empty() {
                let (old, rest) = old?;
                self.before = rest;
                return Some(Ok((Some(old), None)));
            }
            let Some((new, rest)) = Item::split(self.after) else {
                return Some(Err("is a malformed tree"));
            };
            let Some((old, old_rest)) = old else {
                return Some(self.take_new(new, rest).map(|new| (None, Some(new))));
            };
            if old.bytes == new.bytes {
                self.before = old_rest;
                if let Err(why) = self.take_new(new, rest) {
                    return Some(Err(why));
                }
                continue;
            }
            return Some(match old.order(&new) {
                Ordering::Less => {
                    self.before = old_rest;
                    Ok((Some(old), None))
                }
                Ordering::Equal => {
                    self.before = old_rest;
                    self.take_new(new, rest).map(|new| (Some(old), Some(new)))
                }
                Ordering::Greater => self.take_new(new, rest).map(|new| (None, Some(new))),
            });
        }
    }

    fn take_new(&mut self, new: Item<'a>, rest: &'a [u8]) -> Result<Item<'a>, &'static str> {
        if self
            .last
            .is_some_and(|last| last.order(&new) != Ordering::Less)
        {
            return Err("is a tree with entries out of order, or double");
        }
        (self.last, self.after) = (Some(new), rest);
        Ok(new)
    }
}

fn is_mode(mode: &[u8]) -> bool {
    let known: [&[u8]; 6] = [
        b"40000", b"100644", b"100755", b"100664", b"120000", b"160000",
    ];
    known.contains(&mode)
}

/// Returns new names of a directory, each with another name of it that is the same on some systems.
fn twins(added: &[&[u8]], tree: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    if added.is_empty() {
        return Vec::new();
    }
    let mut all: Vec<&[u8]> = Vec::new();
    let mut rest = tree;
    while let Some((item, next)) = Item::split(rest) {
        all.push(item.name);
        rest = next;
    }
    let mut found = Vec::new();
    if added.len() < WORTH_A_TABLE {
        for name in added {
            // The name itself is there once; a second time it is a file beside a directory.
            let same = all.iter().filter(|other| *other == name).count();
            let twin = all
                .iter()
                .find(|other| *other != name && names::are_twins(name, other));
            let twin = twin.copied().or((same > 1).then_some(*name));
            found.extend(twin.map(|twin| (name.to_vec(), twin.to_vec())));
        }
        return found;
    }
    let new: std::collections::HashSet<&[u8]> = added.iter().copied().collect();
    let mut find = |name: &[u8], twin: &[u8]| {
        if new.contains(name) {
            found.push((name.to_vec(), twin.to_vec()));
        } else if new.contains(twin) {
            found.push((twin.to_vec(), name.to_vec()));
        }
    };
    let mut seen: HashMap<String, &[u8]> = HashMap::new();
    for name in &all {
        if let Some(twin) = seen.insert(names::file_of(name), name) {
            find(name, twin);
        }
    }
    // Those that Windows takes for paths into others.
    for name in all.iter().filter(|name| name.contains(&b'\\')) {
        let path = names::file_of(name);
        for (end, _) in path.match_indices('\\') {
            if let Some(twin) = seen.get(&path[..end]) {
                find(name, twin);
            }
        }
    }
    found
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    match dir {
        b"" => name.to_vec(),
        dir => [dir, b"/", name].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_are_the_same_among_few_names_and_many() {
        let tree = |names: &[&str]| -> Vec<u8> {
            let entry = |name: &&str| [format!("100644 {name}\0").as_bytes(), &[1; 20]].concat();
            names.iter().flat_map(entry).collect()
        };
        let many: Vec<String> = (0..WORTH_A_TABLE).map(|n| format!("x{n}")).collect();
        for (old, new) in [("a", "A"), ("a", "a:b"), ("a", "a\\b"), ("a\\b", "a")] {
            let tree = tree(&[old, new]);
            let mut added: Vec<&[u8]> = vec![new.as_bytes()];
            let few = twins(&added, &tree);
            assert_eq!(
                few,
                [(new.as_bytes().to_vec(), old.as_bytes().to_vec())],
                "{new}"
            );
            added.extend(many.iter().map(|name| name.as_bytes()));
            assert_eq!(twins(&added, &tree), few, "{new}");
        }
    }
}
