//! Seals: how a record that decides something is known as written by this user's git-orch, for this repository.
//!
//! Whoever can write the repository's files can write any record of ours there. A seal is a keyed hash (BLAKE3) over
//! what the record is, the repository's place and its bytes; the key is one file per user, outside of all repositories:
//! `$XDG_STATE_HOME/git-orch/key`, which only its owner may read and no sandbox shows. A record without a good seal
//! counts as none. A seal does not tell how old a record is: an earlier one may be put back in its place.
//!
//! What runs as the same user without a sandbox can read the key.

use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::config;
use crate::git::{Repo, files};

/// What a seal begins with, at the end of a record: a comment in most formats of ours.
const MARK: &[u8] = b"\n# seal ";

/// Bytes of a key and of a seal.
const LENGTH: usize = 32;

/// Bytes that a sealed record has more than its content.
const TAIL: usize = MARK.len() + 2 * LENGTH + 1;

/// A key, and the repository that records are sealed for.
#[derive(Clone)]
pub struct Seal {
    key: [u8; LENGTH],
    place: Vec<u8>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// Returns the seal of this user for a repository; makes the key when it is first used.
    ///
    /// # Errors
    ///
    /// The key is there and cannot be read, or cannot be made.
    pub fn of(repo: &Repo) -> Result<Self> {
        let own = config::state_dir().map(|dir| dir.join("key"));
        // Where there is no place for what is the user's, the repository has to do.
        let places = own.into_iter().chain([repo.orch_dir().join("keys/seal")]);
        Ok(Self::with(repo, first(places)?))
    }

    fn with(repo: &Repo, key: [u8; LENGTH]) -> Self {
        let place = repo.common_dir().as_os_str().as_encoded_bytes().to_vec();
        Self { key, place }
    }

    /// Returns a seal over the bytes of a kind of record.
    pub fn over(&self, what: &str, bytes: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [what.as_bytes(), &self.place] {
            // With their lengths, so that bytes cannot pass from one part to another.
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.update(bytes);
        hasher.finalize()
    }

    /// Returns a record with its seal behind it.
    pub fn close(&self, what: &str, mut bytes: Vec<u8>) -> Vec<u8> {
        let seal = self.over(what, &bytes).to_hex();
        bytes.extend_from_slice(MARK);
        bytes.extend_from_slice(seal.as_bytes());
        bytes.push(b'\n');
        bytes
    }

    /// Returns the content of a sealed record; `None` where its seal is not ours, or there is none.
    pub fn open(&self, what: &str, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let length = bytes.len().checked_sub(TAIL)?;
        let hex = bytes[length..].strip_prefix(MARK)?.strip_suffix(b"\n")?;
        let seal = blake3::Hash::from_hex(hex).ok()?;
        bytes.truncate(length);
        // Compared in constant time.
        (self.over(what, &bytes) == seal).then_some(bytes)
    }
}

/// Writes a sealed record in place of another, whole.
///
/// # Errors
///
/// There is no key, or the file cannot be written; the old one is then untouched.
pub fn replace(repo: &Repo, path: &Path, what: &str, bytes: Vec<u8>) -> Result<()> {
    files::replace(path, &Seal::of(repo)?.close(what, bytes))
}

/// Reads a sealed record; `None` where there is none, or one that is not ours.
///
/// # Errors
///
/// The file exists and cannot be read.
pub fn read(repo: &Repo, path: &Path, what: &str) -> Result<Option<Vec<u8>>> {
    let bytes = files::read_if_exists(path)?;
    Ok(bytes.and_then(|bytes| Seal::of(repo).ok()?.open(what, bytes)))
}

/// Returns the key at the first place where one is or can be made. A key at a later place counts only where there can
/// be none before: whoever can write the repository could put one there.
fn first(places: impl Iterator<Item = PathBuf>) -> Result<[u8; LENGTH]> {
    let mut failed = None;
    for place in places {
        if let Some(key) = load(&place)? {
            return Ok(key);
        }
        match make(&place) {
            Ok(key) => return Ok(key),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    Err(failed.context("there is no place for a key")?)
}

/// Reads a key; `None` where there is none.
fn load(place: &Path) -> Result<Option<[u8; LENGTH]>> {
    match files::read_whole(place) {
        // Of another length, it is what a full disk has left of one.
        Ok(bytes) => Ok(bytes.try_into().ok()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", place.display())),
    }
}

/// Makes a key, unless another process is first.
fn make(place: &Path) -> Result<[u8; LENGTH]> {
    let dir = place.parent().context("a key lies in a directory")?;
    let mut builder = std::fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("cannot create {}", dir.display()))?;
    let _alone = files::Lock::wait(&place.with_extension("lock"))?;
    if let Some(key) = load(place)? {
        return Ok(key);
    }
    let mut key = [0; LENGTH];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut key))
        .context("cannot read /dev/urandom")?;
    files::replace_private(place, &key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(key: u8, place: &str) -> Seal {
        Seal {
            key: [key; LENGTH],
            place: place.into(),
        }
    }

    #[test]
    fn what_is_sealed_opens_as_what_it_was_and_nothing_else_does() {
        let ours = seal(1, "/a");
        for content in [&b""[..], b"x", b"x\n", b"\n# seal x\n"] {
            let sealed = ours.close("note", content.to_vec());
            assert_eq!(ours.open("note", sealed.clone()).unwrap(), content);
            for (other, what) in [
                (seal(2, "/a"), "note"),
                (seal(1, "/b"), "note"),
                (ours.clone(), "verdict"),
            ] {
                assert_eq!(other.open(what, sealed.clone()), None);
            }
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert_eq!(ours.open("note", changed), None, "{at}");
                assert_eq!(ours.open("note", sealed[..at].to_vec()), None, "{at}");
            }
        }
        assert_ne!(seal(1, "ab").over("c", b""), seal(1, "b").over("ca", b""));
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("state/git-orch/key");
        let places = [place.clone(), dir.path().join("other")];
        let load_or_make = |places: &[PathBuf]| first(places.iter().cloned()).unwrap();
        // Whoever can write the second place decides nothing.
        files::replace(&places[1], &[7; LENGTH]).unwrap();
        let keys: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| load_or_make(&places)))
                .collect();
            threads.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(
            keys.iter()
                .all(|key| *key == keys[0] && *key != [7; LENGTH])
        );
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&place), mode(place.parent().unwrap())),
            (0o600, 0o700)
        );
        // What is left of one is none.
        files::replace(&place, b"half").unwrap();
        let key = load_or_make(&places);
        assert_ne!(key, keys[0]);
        assert_eq!(load(&place).unwrap(), Some(key));
        // Where there can be none, the next place is taken.
        let nowhere = [dir.path().join("other/key"), dir.path().join("there/key")];
        let key = load_or_make(&nowhere);
        assert_eq!(load(&nowhere[1]).unwrap(), Some(key));
    }
}
