//! What earlier looks found out about one tip, and the trees that it rests on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Reach, told};
use crate::git::files::{Lock, read_if_exists, replace};
use crate::git::{Oid, Repo, Scratch};
use crate::model::radar::Footprint;

/// First bytes of what is kept; changes with everything that changes its meaning.
const MAGIC: &[u8] = b"git-orch radar 1\n";

/// Tips of which something is kept.
const MOST_TIPS: usize = 4;

/// Merges after which the trees of one tip are thrown away with all that is known of it.
const MOST_MERGES: u64 = 20_000;

type Id = [u8; 20];

/// Files in conflict, with the kind of each.
pub(super) type Files = Vec<(Vec<u8>, String)>;

/// What merging one head onto the tip came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reached {
    /// It merges to a tree that lies in the scratch store.
    Clean { tree: Tree, footprint: Footprint },
    /// It conflicts.
    Conflict(Files),
    /// It has no history in common with the tip.
    Unrelated,
    /// Git cannot merge it, for the time being.
    Refused(String),
}

/// A tree's id, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tree(Id);

impl From<Oid> for Tree {
    fn from(id: Oid) -> Self {
        Self(bytes(id))
    }
}

impl Reached {
    /// Returns what it touches, if it merges.
    pub(super) fn footprint(&self) -> Option<&Footprint> {
        match self {
            Self::Clean { footprint, .. } => Some(footprint),
            _ => None,
        }
    }

    /// Returns it as it is told.
    pub(super) fn told(self) -> Reach {
        match self {
            Self::Clean { footprint, .. } => Reach::Clean(footprint),
            Self::Conflict(files) => Reach::Conflict(told(&files)),
            Self::Unrelated => Reach::Unrelated,
            Self::Refused(why) => Reach::Refused(why),
        }
    }
}

/// All that is known about one tip.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Known {
    heads: BTreeMap<Id, Reached>,
    /// By the heads of a pair, smaller first; no file where it merges.
    pairs: BTreeMap<(Id, Id), Files>,
    /// Merges made so far.
    merges: u64,
}

impl Known {
    pub(super) fn head(&self, head: Oid) -> Option<&Reached> {
        self.heads.get(&bytes(head))
    }

    pub(super) fn tree(&self, head: Oid) -> Option<Oid> {
        match self.head(head)? {
            Reached::Clean { tree, .. } => Some(Oid::from(tree.0)),
            _ => None,
        }
    }

    pub(super) fn pair(&self, one: Oid, other: Oid) -> Option<&[(Vec<u8>, String)]> {
        let files = self.pairs.get(&(bytes(one), bytes(other)))?;
        Some(files)
    }

    pub(super) fn learn_head(&mut self, head: Oid, reached: Reached) {
        self.heads.insert(bytes(head), reached);
    }

    pub(super) fn learn_pair(&mut self, pair: (Oid, Oid), files: Files) {
        self.pairs.insert((bytes(pair.0), bytes(pair.1)), files);
    }
}

fn bytes(id: Oid) -> Id {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(id.as_slice());
    bytes
}

/// Where what is known of a tip is kept, for as long as nobody else looks.
pub(super) struct Place {
    pub(super) scratch: Scratch,
    /// `None` where nothing is kept.
    file: Option<PathBuf>,
    _alone: Option<Lock>,
}

impl Place {
    /// Takes the place of a tip. A repository that git-orch is not at home in gets nothing left behind.
    pub(super) fn take(repo: &Repo, tip: Oid) -> Result<Self> {
        match repo.orch_dir().is_dir() {
            true => Self::take_kept(repo, tip).or_else(|_| Self::take_temporary(repo)),
            false => Self::take_temporary(repo),
        }
    }

    /// Takes a place of which nothing is kept.
    pub(super) fn take_temporary(repo: &Repo) -> Result<Self> {
        Ok(Self {
            scratch: Scratch::temporary(repo)?,
            file: None,
            _alone: None,
        })
    }

    fn take_kept(repo: &Repo, tip: Oid) -> Result<Self> {
        let all = repo.orch_dir().join("radar");
        let alone = Lock::wait(&all.join("lock"))?;
        let dir = all.join(tip.to_string());
        let file = dir.join("known");
        let used_up = load(&file).is_none_or(|known| known.merges >= MOST_MERGES);
        if used_up && dir.exists() {
            // What is known names trees that lie there, and the other way round.
            fs::remove_dir_all(&dir)?;
        }
        remove_oldest(&all, &dir);
        Ok(Self {
            scratch: Scratch::keep(repo, &dir)?,
            file: Some(file),
            _alone: Some(alone),
        })
    }

    /// Throws away what is kept here, and returns whether anything was.
    pub(super) fn forget(&self) -> bool {
        let dir = self.file.as_deref().and_then(Path::parent);
        dir.is_some_and(|dir| fs::remove_dir_all(dir).is_ok())
    }

    pub(super) fn load(&self) -> Known {
        self.file.as_deref().and_then(load).unwrap_or_default()
    }

    /// Keeps what is known; a disk that is full costs the next look its merges and nothing else.
    pub(super) fn save(&self, known: &Known, merges: usize) {
        let Some(file) = self.file.as_deref().filter(|_| merges > 0) else {
            return;
        };
        let known = Known {
            heads: known
                .heads
                .iter()
                .filter(|(_, reached)| !matches!(reached, Reached::Refused(_)))
                .map(|(head, reached)| (*head, reached.clone()))
                .collect(),
            pairs: known.pairs.clone(),
            merges: known.merges + merges as u64,
        };
        if let Ok(bytes) = postcard::to_extend(&known, MAGIC.to_vec()) {
            let _ = replace(file, &bytes);
        }
    }
}

fn load(file: &Path) -> Option<Known> {
    let bytes = read_if_exists(file).ok().flatten()?;
    postcard::from_bytes(bytes.strip_prefix(MAGIC)?).ok()
}

/// Takes the tips away that nobody has looked at for longest.
fn remove_oldest(all: &Path, but: &Path) {
    let mut tips: Vec<_> = fs::read_dir(all)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir() && path != but)
        .map(|path| {
            let when = fs::metadata(path.join("known")).and_then(|data| data.modified());
            (when.ok(), path)
        })
        .collect();
    tips.sort();
    let surplus = (tips.len() + 1).saturating_sub(MOST_TIPS);
    for (_, path) in tips.into_iter().take(surplus) {
        // In the way of nobody: tried again next time.
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_learnt_is_read_again_and_rubbish_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known");
        let head = Oid::from([1; 20]);
        let mut known = Known::default();
        known.learn_head(head, Reached::Unrelated);
        known.learn_pair((head, head), vec![(b"a".to_vec(), String::from("kind"))]);
        let bytes = postcard::to_extend(&known, MAGIC.to_vec()).unwrap();
        replace(&file, &bytes).unwrap();
        let read = load(&file).unwrap();
        assert_eq!(read.head(head), Some(&Reached::Unrelated));
        assert_eq!(read.pair(head, head).unwrap()[0].0, b"a");
        replace(&file, &bytes[..bytes.len() - 1]).unwrap();
        assert!(load(&file).is_none());
        replace(&file, b"something else").unwrap();
        assert!(load(&file).is_none());
    }

    #[test]
    fn the_oldest_tips_go() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..6_u64 {
            let known = dir.path().join(number.to_string()).join("known");
            replace(&known, b"").unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(number);
            let file = fs::File::options().write(true).open(known).unwrap();
            file.set_modified(time).unwrap();
        }
        remove_oldest(dir.path(), &dir.path().join("0"));
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["0", "3", "4", "5"]);
    }
}
