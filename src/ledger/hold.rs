//! The ledger's lock, and what its holders note in it for the next one.
//!
//! The note is the tip that the last holder left, and whether it came to an end: a holder that was killed
//! may have moved the ledger without telling anybody, and a ledger that does not build on the noted tip was
//! set back by someone, which no one here may paper over.
//!
//! Where a remote's ledger is the truth, what it is known to have had says more than the note: a branch that stands
//! behind that was left there by somebody who was killed, whoever it was, and is brought to it.

use anyhow::Result;

use crate::error::UserError;
use crate::git::files::Lock;
use crate::git::refs::Swap;
use crate::git::{Oid, Repo};

/// The remote's ledger as last seen and accepted.
pub(super) const SEEN: &str = "refs/orch/remote/ledger";

/// Commits that are looked through for the noted tip before git is asked.
const NEAR: usize = 1000;

/// Whose ledger is the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    /// This clone's.
    Here,
    /// A remote's.
    AtRemote,
}

/// The lock, held.
#[derive(Debug)]
pub(super) struct Hold {
    lock: Lock,
    interrupted: bool,
}

impl Hold {
    /// Takes over from the last holder, and puts right what it may have left half done.
    ///
    /// # Errors
    ///
    /// The ledger does not build on what the last holder left.
    pub(super) fn begin(repo: &Repo, lock: Lock, name: &str, truth: Truth) -> Result<Self> {
        repo.clear_dead_moves(&lock, &[name, SEEN])?;
        if truth == Truth::AtRemote
            && let (Some(ours), Some(seen)) = (repo.read_ref(name)?, repo.read_ref(SEEN)?)
            && is_behind(repo, ours, seen)
            && repo.swap_alone(&lock, name, Some(ours), seen, "as the remote had it")? == Swap::Lost
        {
            return Err(moved_meanwhile(name));
        }
        let note = Note::read(&lock.note()?, name);
        if let Some(Note { tip, .. }) = &note
            && let Some((tip, current)) = lost(repo, name, *tip, truth)?
        {
            return Err(set_back(name, tip, current));
        }
        let interrupted = note.is_some_and(|note| note.busy);
        Ok(Self { lock, interrupted })
    }

    /// Returns whether the holder before did not come to its end, so that nobody knows how far it came.
    pub(super) fn was_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Returns the lock.
    pub(super) fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Notes that the ledger is about to be moved.
    pub(super) fn enter(&self, repo: &Repo, name: &str) -> Result<()> {
        note_tip(repo, &self.lock, name, true)
    }

    /// Notes that the ledger is about to be moved from a tip that was just read.
    pub(super) fn enter_from(&self, tip: Option<Oid>, name: &str) -> Result<()> {
        self.note(tip, name, true)
    }

    /// Notes the tip that is left to the next holder, after everybody was told. Whoever moved the ledger on since
    /// it was read has built on it, or set it back.
    pub(super) fn end_at(&self, tip: Option<Oid>, name: &str) -> Result<()> {
        self.note(tip, name, false)
    }

    /// Notes the tip that the ledger's branch is at, after everybody was told.
    pub(super) fn end(&self, repo: &Repo, name: &str) -> Result<()> {
        note_tip(repo, &self.lock, name, false)
    }

    fn note(&self, tip: Option<Oid>, name: &str, busy: bool) -> Result<()> {
        match tip {
            Some(tip) => self.lock.set_note(&Note { busy, tip }.write(name)),
            None => Ok(()),
        }
    }

    /// Notes the tip that is left to the next holder, without having looked at who waits: a holder that was
    /// killed before us is still to be made up for.
    pub(super) fn pass_on(&self, repo: &Repo, name: &str) -> Result<()> {
        note_tip(repo, &self.lock, name, self.interrupted)
    }
}

/// Takes the ledger as it stands, whatever the last holder left: a person has looked.
///
/// # Errors
///
/// The lock cannot be taken.
pub(super) fn accept(repo: &Repo, name: &str) -> Result<()> {
    let lock = Lock::wait(&repo.orch_dir().join("lock"))?;
    note_tip(repo, &lock, name, false)
}

/// Returns the noted tip that the ledger no longer builds on, if there is one.
///
/// # Errors
///
/// The lock's file or the ref cannot be read.
pub(super) fn lost_tip(repo: &Repo, name: &str, truth: Truth) -> Result<Option<Oid>> {
    let Some(noted) = noted_tip(repo, name)? else {
        return Ok(None);
    };
    Ok(lost(repo, name, noted, truth)?.map(|(noted, _)| noted))
}

/// Returns a noted tip and where the ledger is, if that does not build on it. What the remote has had cannot be lost
/// here.
fn lost(repo: &Repo, name: &str, noted: Oid, truth: Truth) -> Result<Option<(Oid, Oid)>> {
    let Some(current) = repo.read_ref(name)?.filter(|now| *now != noted) else {
        return Ok(None);
    };
    let seen = match truth {
        Truth::AtRemote => repo.read_ref(SEEN)?,
        Truth::Here => None,
    };
    let mut has_it = [Some(current), seen].into_iter().flatten();
    let is_kept = has_it.any(|tip| descends(repo, noted, tip));
    Ok((!is_kept).then_some((noted, current)))
}

/// Returns whether a ledger lacks something that the remote is known to have had, and has nothing beside it.
pub(super) fn is_behind(repo: &Repo, ours: Oid, seen: Oid) -> bool {
    ours != seen && !descends(repo, seen, ours) && descends(repo, ours, seen)
}

/// Returns the tip that the last holder has noted, if one has.
///
/// # Errors
///
/// The lock's file cannot be read.
pub(super) fn noted_tip(repo: &Repo, name: &str) -> Result<Option<Oid>> {
    let path = repo.orch_dir().join("lock");
    let note = crate::git::files::read_if_exists(&path)?.unwrap_or_default();
    Ok(Note::read(&note, name).map(|note| note.tip))
}

/// Notes a tip that a person has chosen, and that the ledger is about to be brought to.
pub(super) fn note_chosen(lock: &Lock, name: &str, tip: Oid) -> Result<()> {
    lock.set_note(&Note { busy: true, tip }.write(name))
}

pub(super) fn note_tip(repo: &Repo, lock: &Lock, name: &str, busy: bool) -> Result<()> {
    match repo.read_ref(name)? {
        Some(tip) => lock.set_note(&Note { busy, tip }.write(name)),
        None => Ok(()),
    }
}

/// Returns whether one commit of a ledger builds on another.
pub(super) fn descends(repo: &Repo, old: Oid, new: Oid) -> bool {
    let mut next = Some(new);
    for _ in 0..NEAR {
        match next {
            Some(commit) if commit == old => return true,
            Some(commit) => {
                let read = repo.read_commit(commit).ok();
                next = read.and_then(|commit| commit.parents.first().copied());
            }
            None => break,
        }
    }
    // Far away or beside the line: git knows. A commit that is gone is no ancestor of anything.
    repo.is_ancestor(old, new).unwrap_or(false)
}

fn moved_meanwhile(name: &str) -> anyhow::Error {
    let branch = name.strip_prefix("refs/heads/").unwrap_or(name);
    UserError::new(format!(
        "the ledger's branch {branch} is behind what the remote had, and is locked or was moved by someone else"
    ))
    .hint("git orch doctor")
    .into()
}

fn set_back(name: &str, noted: Oid, current: Oid) -> anyhow::Error {
    let branch = name.strip_prefix("refs/heads/").unwrap_or(name);
    UserError::new(format!(
        "the ledger's branch {branch} was set back: it is at {current} and no longer builds on {noted}, \
         where git-orch left it"
    ))
    .hint("git orch doctor")
    .into()
}

/// What a holder leaves in the lock's file; always of one length.
#[derive(Debug, PartialEq, Eq)]
struct Note {
    busy: bool,
    tip: Oid,
}

impl Note {
    fn write(&self, name: &str) -> Vec<u8> {
        let mark = if self.busy { '!' } else { '=' };
        format!("{mark} {} {}\n", self.tip, name_digest(name)).into_bytes()
    }

    /// Reads a note about a ref; `None` where there is none, or it is about another ledger.
    fn read(bytes: &[u8], name: &str) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let mut parts = text.split(' ');
        let (mark, tip, of) = (parts.next()?, parts.next()?, parts.next()?);
        (of == name_digest(name)).then_some(Self {
            // Whoever cannot tell looks for longer and nothing worse.
            busy: mark != "=",
            tip: Oid::from_hex(tip.as_bytes()).ok()?,
        })
    }
}

/// Tells ledgers of different names apart (FNV-1a, 32 bits).
fn name_digest(name: &str) -> String {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{hash:08x}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::git::objects::blob_id;

    proptest! {
        #[test]
        fn a_note_is_read_as_it_was_written(busy in any::<bool>(), tip in any::<Vec<u8>>(), name in any::<String>()) {
            let note = Note { busy, tip: blob_id(&tip) };
            let bytes = note.write(&name);
            prop_assert_eq!(bytes.len(), note.write("").len());
            prop_assert_eq!(Note::read(&bytes, &name), Some(note));
            prop_assert_eq!(Note::read(&bytes, &format!("{name}x")), None);
            prop_assert_eq!(Note::read(&bytes[..bytes.len() - 1], &name), None);
        }

        #[test]
        fn a_damaged_note_says_nothing_or_that_more_must_be_looked_at(
            noise in any::<Vec<u8>>(), at in 0_usize..52, byte in any::<u8>(),
        ) {
            prop_assert_eq!(Note::read(&noise, "refs/heads/orchestration"), None);
            let unsure = Note { busy: false, tip: blob_id(b"tip") }.write("x");
            prop_assert!(Note::read(&[b"?", &unsure[1..]].concat(), "x").is_some_and(|note| note.busy));
            let note = Note { busy: true, tip: blob_id(b"tip") };
            let mut bytes = note.write("x");
            bytes[at] = byte;
            if let Some(read) = Note::read(&bytes, "x") {
                // One byte makes an end of a beginning only where it is the mark of one.
                prop_assert!(read.busy || (at, byte) == (0, b'='));
                prop_assert!(read.tip == note.tip || (2..42).contains(&at));
            }
        }
    }
}
