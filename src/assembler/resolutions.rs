//! What was decided about a hunk before, if it landed.
//!
//! A hunk is known by its file and the lines of both sides and of the base: what is decided in one file is nobody's
//! leave to put it into another. What stood in its place in a commit that landed is
//! a blob under `refs/orch/resolution/<aa>/<key>`; so a merge in which every hunk was decided before needs nobody
//! to decide again. What comes out is tested like any other merge. Each is sealed, so that only what did land counts.

use anyhow::Result;

use super::conflict::{Part, Sides, parts, resolvable, with_files};
use crate::git::objects::blob_id;
use crate::git::{Conflicted, Oid, Repo};
use crate::seal::Seal;

/// Lines around a hunk by which its place in another file is found.
const CONTEXT: usize = 3;

/// What the seal says that it is.
const SEALED: &str = "resolution";

/// Size of what is remembered in place of one hunk.
const MOST_BYTES: usize = 64 * 1024;

/// Learns what a conflict's hunks became in a commit that landed, and returns how many it could tell. Only for
/// commits that passed their test.
///
/// # Errors
///
/// The repository cannot be read or written.
pub fn learn(repo: &Repo, sides: &Sides<'_>, landed: Oid) -> Result<usize> {
    let Some(conflicted) = repo.conflicted(sides.tip, sides.head)? else {
        return Ok(0);
    };
    // Without a key it would say nothing to anybody.
    let Ok(seal) = Seal::of(repo) else {
        return Ok(0);
    };
    let landed = repo.read_commit(landed)?.tree;
    let mut learnt: Vec<(String, Oid)> = Vec::new();
    for file in resolvable(&conflicted).unwrap_or_default() {
        let path = file.path.as_bytes();
        let read = |tree| -> Result<Option<Vec<u8>>> {
            let blob = repo.find_path(tree, path)?;
            blob.map(|blob| repo.read_blob(blob)).transpose()
        };
        let (Some(marked), Some(after)) = (read(conflicted.tree)?, read(landed)?) else {
            continue;
        };
        for (hunk, text) in decided(&marked, &after) {
            let blob = seal.close(
                SEALED,
                [name_of(path, hunk).as_bytes(), b"\n", text].concat(),
            );
            learnt.push((name_of(path, hunk), repo.write_blob(&blob)?));
        }
    }
    let mut moves = Vec::new();
    for (name, id) in &learnt {
        repo.delete_broken_ref(name)?;
        let old = repo.read_ref(name)?;
        let again = moves.iter().any(|(known, _, _)| *known == name.as_str());
        if old != Some(*id) && !again {
            repo.break_dead_lock(name)?;
            moves.push((name.as_str(), old, Some(*id)));
        }
    }
    if !moves.is_empty() {
        // Lost means that another commit that landed says something about them at the same time: as good.
        let _swap = repo.swap_refs(&moves, "landed")?;
    }
    Ok(learnt.len())
}

/// Returns the tree of a merge in which every hunk was decided before; `None` where one was not.
///
/// # Errors
///
/// The repository cannot be read or written.
pub fn propose(repo: &Repo, sides: &Sides<'_>) -> Result<Option<Oid>> {
    match repo.conflicted(sides.tip, sides.head)? {
        Some(conflicted) => propose_for(repo, &conflicted),
        None => Ok(None),
    }
}

/// Returns the tree of a conflict in which every hunk was decided before.
pub(super) fn propose_for(repo: &Repo, conflicted: &Conflicted) -> Result<Option<Oid>> {
    let Some(files) = resolvable(conflicted) else {
        return Ok(None);
    };
    let mut resolved = Vec::new();
    for file in &files {
        let blob = repo.find_path(conflicted.tree, file.path.as_bytes())?;
        let marked = blob.map(|blob| repo.read_blob(blob)).transpose()?;
        let marked = marked.unwrap_or_default();
        let Some(parts) = parts(&marked) else {
            return Ok(None);
        };
        let mut text = Vec::new();
        for part in parts {
            match part {
                Part::Merged(lines) => text.extend_from_slice(lines),
                hunk @ Part::Hunk { .. } => match known(repo, file.path.as_bytes(), hunk) {
                    Some(lines) => text.extend(lines),
                    None => return Ok(None),
                },
            }
        }
        resolved.push((file.path.as_str(), text));
    }
    with_files(repo, conflicted, &resolved).map(Some)
}

/// Returns what was decided about a hunk, whichever side came first.
fn known(repo: &Repo, path: &[u8], hunk: Part<'_>) -> Option<Vec<u8>> {
    let seal = Seal::of(repo).ok()?;
    for name in [name_of(path, hunk), name_of(path, turned(hunk))] {
        // What cannot be read, or is not ours, says nothing.
        if let Ok(Some(blob)) = repo.read_ref(&name)
            && let Ok(bytes) = repo.read_blob_within(blob, 2 * MOST_BYTES)
            && let Some(mut bytes) = seal.open(SEALED, bytes)
            && bytes.starts_with(format!("{name}\n").as_bytes())
        {
            return Some(bytes.split_off(name.len() + 1));
        }
    }
    None
}

fn turned(part: Part<'_>) -> Part<'_> {
    match part {
        Part::Hunk { ours, base, theirs } => Part::Hunk {
            ours: theirs,
            base,
            theirs: ours,
        },
        merged @ Part::Merged(_) => merged,
    }
}

fn key(path: &[u8], part: Part<'_>) -> Oid {
    let sides: [&[u8]; 4] = match part {
        Part::Hunk { ours, base, theirs } => [path, ours, base, theirs],
        Part::Merged(lines) => [path, lines, b"", b""],
    };
    // With their lengths, so that lines cannot pass from one side to another.
    let mut bytes = b"resolution 2\n".to_vec();
    for side in sides {
        bytes.extend(format!("{}\n", side.len()).bytes());
        bytes.extend_from_slice(side);
    }
    blob_id(&bytes)
}

/// Returns the ref of what was decided about a hunk of a file.
fn name_of(path: &[u8], part: Part<'_>) -> String {
    let hex = key(path, part).to_string();
    format!("refs/orch/resolution/{}/{hex}", &hex[..2])
}

/// Returns what stands in place of each hunk in another file, as far as its surroundings tell where that is.
fn decided<'a, 'm>(marked: &'m [u8], after: &'a [u8]) -> Vec<(Part<'m>, &'a [u8])> {
    let Some(parts) = parts(marked) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for around in parts.windows(3) {
        let [
            Part::Merged(before),
            hunk @ Part::Hunk { .. },
            Part::Merged(behind),
        ] = around
        else {
            continue;
        };
        let (before, behind) = (last_lines(before), first_lines(behind));
        let start = if before.is_empty() {
            Some(0)
        } else {
            only(after, before).map(|at| at + before.len())
        };
        let Some(start) = start else { continue };
        let rest = &after[start..];
        let length = if behind.is_empty() {
            Some(rest.len())
        } else {
            only(rest, behind)
        };
        let Some(text) = length.map(|length| &rest[..length]) else {
            continue;
        };
        let is_line = text.is_empty() || text.ends_with(b"\n") || behind.is_empty();
        if is_line && text.len() <= MOST_BYTES && self::parts(text).is_none() {
            found.push((*hunk, text));
        }
    }
    found
}

fn last_lines(text: &[u8]) -> &[u8] {
    let ends = text.iter().enumerate().rev();
    let mut ends = ends.filter(|(_, byte)| **byte == b'\n').skip(CONTEXT);
    ends.next().map_or(text, |(at, _)| &text[at + 1..])
}

fn first_lines(text: &[u8]) -> &[u8] {
    let mut ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    ends.nth(CONTEXT - 1).map_or(text, |(at, _)| &text[..=at])
}

/// Returns where whole lines stand in a text, if they stand there once.
fn only(text: &[u8], lines: &[u8]) -> Option<usize> {
    let mut places = text
        .windows(lines.len())
        .enumerate()
        .filter(|(at, window)| *window == lines && (*at == 0 || text[at - 1] == b'\n'));
    let (first, _) = places.next()?;
    places.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKED: &[u8] =
        b"1\n2\n3\n4\n<<<<<<< x\na\n||||||| y\n5\n=======\nb\n>>>>>>> z\n6\n7\n8\n9\n";

    fn texts(after: &[u8]) -> Vec<&[u8]> {
        let found = decided(MARKED, after);
        found.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn a_hunk_is_found_by_its_surroundings() {
        assert_eq!(texts(b"1\n2\n3\n4\na and b\n6\n7\n8\n9\n"), [b"a and b\n"]);
        // Changes elsewhere do not matter, nor does a hunk that was left out.
        assert_eq!(texts(b"x\n2\n3\n4\n6\n7\n8\ny\n"), [b""]);
    }

    #[test]
    fn what_cannot_be_told_is_not_guessed() {
        assert!(texts(b"other\n").is_empty());
        assert!(texts(b"2\n3\n4\n2\n3\n4\na\n6\n7\n8\n").is_empty());
        assert!(texts(b"2\n3\n4\na\n6\n7\n8\nb\n6\n7\n8\n").is_empty());
        assert!(texts(MARKED).is_empty());
    }

    #[test]
    fn keys_tell_sides_apart() {
        let hunk = |ours, base, theirs| key(b"f", Part::Hunk { ours, base, theirs });
        assert_ne!(hunk(b"a\n", b"", b"b\n"), hunk(b"a\n", b"b\n", b""));
        assert_ne!(hunk(b"a\n", b"", b"b\n"), hunk(b"b\n", b"", b"a\n"));
        let one = Part::Hunk {
            ours: b"a",
            base: b"o",
            theirs: b"b",
        };
        assert_eq!(turned(turned(one)), one);
    }
}
