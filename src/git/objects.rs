//! Reading and writing objects without index or working tree.
//!
//! Trees are handled as raw bytes: replacing one entry of a large tree copies the rest as it stands, where
//! a tree editor would look at every sibling (docs/decisions/writing.md).

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use gix::objs::{Find as _, Kind, Write as _};

use super::disk::library_error;
use super::{Oid, Repo};
use crate::model::bounds;

/// One entry of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Name without its directory.
    pub name: &'a [u8],
    /// Object it names.
    pub id: Oid,
    /// Whether it is a directory.
    pub is_tree: bool,
}

/// Trees remembered at a time.
const MOST_TREES: usize = 512;

/// Times that an object is written before it is given up.
const MOST_TRIES: usize = 100;

/// When an object that was not found is looked for again.
const LOOK_AGAIN_AFTER: [Duration; 2] = [Duration::ZERO, Duration::from_millis(10)];

/// The largest object that is stored as it is: with all that goes around it, a block of the disk.
const MOST_STORED: usize = 4096 - 64;

const BLOB_MODE: &[u8] = b"100644";
const TREE_MODE: &[u8] = b"40000";

impl Repo {
    /// Reads an object of a kind into a buffer.
    pub(super) fn read_object(&self, id: Oid, kind: Kind) -> Result<Vec<u8>> {
        self.require_object_file(id)?;
        let mut buffer = Vec::new();
        let found = self
            .gix
            .objects
            .try_find(&id, &mut buffer)
            .map_err(|error| library_error(&error))
            .with_context(|| format!("cannot read object {id}"))
            .inspect_err(|error| self.note_failed_read(error))?;
        match found {
            Some(data) if data.kind == kind => Ok(buffer),
            Some(data) => bail!("object {id} is a {}, not a {kind}", data.kind),
            None => self.look_again(id, kind),
        }
    }

    /// Reads an object that was not found, from a store that is opened anew: one that lists packs while others merge
    /// them may find neither the old ones nor the new.
    fn look_again(&self, id: Oid, kind: Kind) -> Result<Vec<u8>> {
        for pause in LOOK_AGAIN_AFTER {
            std::thread::sleep(pause);
            let mut buffer = Vec::new();
            let anew = self.reopen()?;
            let found = anew.gix.objects.try_find(&id, &mut buffer);
            let found = found.map_err(|error| library_error(&error))?;
            if found.is_some_and(|data| data.kind == kind) {
                return Ok(buffer);
            }
        }
        bail!("object {id} is missing")
    }

    /// Reads a blob.
    ///
    /// # Errors
    ///
    /// It is missing or something else.
    pub fn read_blob(&self, id: Oid) -> Result<Vec<u8>> {
        self.read_object(id, Kind::Blob)
    }

    /// Reads a blob of at most so many bytes.
    ///
    /// # Errors
    ///
    /// It is larger, missing or something else.
    pub fn read_blob_within(&self, id: Oid, most: usize) -> Result<Vec<u8>> {
        self.require_object_file(id)?;
        let header = self
            .gix
            .try_find_header(id)
            .map_err(|error| library_error(&error))
            .with_context(|| format!("cannot read object {id}"))
            .inspect_err(|error| self.note_failed_read(error))?;
        if header.is_some_and(|header| header.size() > most as u64) {
            bail!("object {id} is larger than {}", bounds::told(most));
        }
        self.read_blob(id)
    }

    /// Reads a tree, for [`entries`]; the latest ones are remembered, since a writer needs them again.
    ///
    /// # Errors
    ///
    /// It is missing or something else.
    pub fn read_tree(&self, id: Oid) -> Result<Vec<u8>> {
        if let Some(tree) = self.trees.borrow().get(&id) {
            return Ok(tree.clone());
        }
        let tree = self.read_object(id, Kind::Tree)?;
        self.remember_tree(id, &tree);
        Ok(tree)
    }

    fn remember_tree(&self, id: Oid, tree: &[u8]) {
        let mut trees = self.trees.borrow_mut();
        // Beginning anew costs a few reads; keeping everything would grow without bound.
        if trees.len() >= MOST_TREES {
            trees.clear();
        }
        trees.insert(id, tree.to_vec());
    }

    /// Returns the tree and the parents of a commit.
    ///
    /// # Errors
    ///
    /// It is missing or no commit.
    pub fn read_commit(&self, id: Oid) -> Result<CommitData> {
        let bytes = self.read_object(id, Kind::Commit)?;
        let commit = gix::objs::CommitRef::from_bytes(&bytes, gix::hash::Kind::Sha1)
            .map_err(|error| anyhow::anyhow!("commit {id} cannot be read: {error}"))?;
        let time = commit
            .committer()
            .ok()
            .and_then(|c| c.time().ok())
            .map_or(0, |t| t.seconds);
        Ok(CommitData {
            tree: commit.tree(),
            parents: commit.parents().collect(),
            message: String::from_utf8_lossy(commit.message).into_owned(),
            author: commit
                .author()
                .map(|a| a.name.to_string())
                .unwrap_or_default(),
            committer: commit
                .committer()
                .map(|c| c.email.to_string())
                .unwrap_or_default(),
            time,
        })
    }

    /// Writes a blob.
    ///
    /// # Errors
    ///
    /// The object store cannot be written.
    pub fn write_blob(&self, bytes: &[u8]) -> Result<Oid> {
        self.write_object(Kind::Blob, bytes)
    }

    /// Writes a tree given as raw bytes.
    ///
    /// # Errors
    ///
    /// The object store cannot be written.
    pub fn write_tree(&self, bytes: &[u8]) -> Result<Oid> {
        let id = self.write_object(Kind::Tree, bytes)?;
        self.remember_tree(id, bytes);
        Ok(id)
    }

    /// Writes a commit.
    ///
    /// # Errors
    ///
    /// The object store cannot be written.
    pub fn write_commit(&self, commit: &NewCommit<'_>) -> Result<Oid> {
        self.write_object(Kind::Commit, commit.text().as_bytes())
    }

    /// Writes a commit given as raw bytes.
    ///
    /// # Errors
    ///
    /// The object store cannot be written.
    pub fn write_raw_commit(&self, raw: &[u8]) -> Result<Oid> {
        self.write_object(Kind::Commit, raw)
    }

    /// Writes an annotated tag of a commit.
    ///
    /// # Errors
    ///
    /// The object store cannot be written.
    pub fn write_tag(&self, tag: &NewTag<'_>) -> Result<Oid> {
        let mut text = format!(
            "object {}\ntype commit\ntag {}\ntagger {}\n\n{}",
            tag.commit,
            tag.name,
            signature(tag.tagger, tag.time),
            tag.message
        );
        if !text.ends_with('\n') {
            text.push('\n');
        }
        self.write_object(Kind::Tag, text.as_bytes())
    }

    /// Writes an object even where it exists, so that its file is young again and no `git prune` takes it
    /// before a ref reaches it (docs/decisions/writing.md).
    fn write_object(&self, kind: Kind, bytes: &[u8]) -> Result<Oid> {
        let write = || {
            if bytes.len() <= MOST_STORED {
                self.write_stored(kind, bytes)
            } else {
                let written = self.gix.objects.write_buf(kind, bytes);
                written.map_err(|error| library_error(&error))
            }
        };
        // `git prune-packed` takes a directory away as soon as it is empty, also one that was just made.
        let was_taken_away = |error: &anyhow::Error| {
            let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
            causes.any(|cause: &std::io::Error| cause.kind() == ErrorKind::NotFound)
        };
        let mut written = write();
        for _ in 1..MOST_TRIES {
            if !written.as_ref().is_err_and(was_taken_away) {
                break;
            }
            written = write();
        }
        written.with_context(|| format!("cannot write a {kind} to the object store"))
    }

    /// Writes a loose object with its bytes stored in the zlib stream as they are (RFC 1951 3.2.4).
    ///
    /// It takes a block of the disk either way, Git compresses it when it packs it, and setting a compressor up takes
    /// longer than all the rest of writing a small object.
    fn write_stored(&self, kind: Kind, bytes: &[u8]) -> Result<Oid> {
        let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, bytes)
            .map_err(|error| library_error(&error))?;
        let header = gix::objs::encode::loose_header(kind, bytes.len() as u64);
        let length = u16::try_from(header.len() + bytes.len())?;
        let mut file = vec![0x78, 0x01, 0x01];
        file.extend(length.to_le_bytes());
        file.extend((!length).to_le_bytes());
        let body = file.len();
        file.extend(header.iter());
        file.extend(bytes);
        let sum = adler32(&file[body..]);
        file.extend(sum.to_be_bytes());
        let hex = id.to_string();
        let dir = self.objects_dir.join(&hex[..2]);
        // Git's own name for it, so that its gc removes what a killed process leaves.
        let mut new = tempfile::Builder::new()
            .prefix("tmp_obj_")
            .permissions(fs::Permissions::from_mode(0o444))
            .tempfile_in(&self.objects_dir)?;
        new.write_all(&file)?;
        let path = dir.join(&hex[2..]);
        match new.persist(&path) {
            Err(error) if error.error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(&dir)?;
                error.file.persist(&path)?;
            }
            written => drop(written?),
        }
        Ok(id)
    }

    /// Writes a tree in which one file has another content; its mode stays.
    ///
    /// # Errors
    ///
    /// There is no such file, or the object store cannot be written.
    pub fn with_content(&self, tree: Oid, path: &[u8], blob: Oid) -> Result<Oid> {
        let mut bytes = self.read_tree(tree)?;
        let mut parts = path.splitn(2, |byte| *byte == b'/');
        let (name, below) = (parts.next().unwrap_or_default(), parts.next());
        let mut rest = bytes.as_slice();
        while let Some((entry, _, next)) = split_entry(rest) {
            rest = next;
            if entry.name != name || entry.is_tree != below.is_some() {
                continue;
            }
            let new = match below {
                Some(below) => self.with_content(entry.id, below, blob)?,
                None => blob,
            };
            // An entry ends with its object's id.
            let end = bytes.len() - next.len();
            bytes[end - 20..end].copy_from_slice(new.as_slice());
            return self.write_tree(&bytes);
        }
        bail!("{} is not in tree {tree}", String::from_utf8_lossy(path))
    }

    /// Looks up the commit that a revision names.
    ///
    /// # Errors
    ///
    /// The revision is malformed or names nothing.
    pub fn resolve_commit(&self, revision: &str) -> Result<Oid> {
        // A whole id needs no search among what begins like it; one of a tag's is no commit's yet.
        if let Ok(id) = Oid::from_hex(revision.as_bytes())
            && self
                .gix
                .try_find_header(id)
                .is_ok_and(|found| found.is_some_and(|found| found.kind() == Kind::Commit))
        {
            return Ok(id);
        }
        let id = self
            .gix
            .rev_parse_single(revision)
            .map_err(|error| library_error(&error))
            .with_context(|| format!("there is no commit `{revision}`"))?;
        let object = id.object().map_err(|error| library_error(&error))?;
        let commit = object
            .peel_to_kind(gix::object::Kind::Commit)
            .map_err(|error| library_error(&error))
            .with_context(|| format!("`{revision}` is no commit"))?;
        Ok(commit.id)
    }
}

/// Returns who and when as commits and tags say it.
fn signature((name, email): &(String, String), time: i64) -> String {
    let clean = |text: &str| text.replace(['<', '>', '\n', '\0'], " ").trim().to_owned();
    format!("{} <{}> {time} +0000", clean(name), clean(email))
}

/// The checksum at the end of a zlib stream (RFC 1950 9).
fn adler32(bytes: &[u8]) -> u32 {
    const BASE: u32 = 65_521;
    // So many bytes cannot overflow the sums.
    let (mut a, mut b) = (1_u32, 0_u32);
    for chunk in bytes.chunks(5552) {
        for byte in chunk {
            a += u32::from(*byte);
            b += a;
        }
        (a, b) = (a % BASE, b % BASE);
    }
    (b << 16) | a
}

/// Returns the id that a blob has or would have.
pub fn blob_id(bytes: &[u8]) -> Oid {
    gix::objs::compute_hash(gix::hash::Kind::Sha1, Kind::Blob, bytes)
        .unwrap_or(Oid::null(gix::hash::Kind::Sha1))
}

/// What readers want of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitData {
    /// Its tree.
    pub tree: Oid,
    /// Its parents.
    pub parents: Vec<Oid>,
    /// Its message.
    pub message: String,
    /// Its author's name.
    pub author: String,
    /// Its committer's address.
    pub committer: String,
    /// When it was committed, in seconds since 1970.
    pub time: i64,
}

/// A commit to write.
#[derive(Debug, Clone, Copy)]
pub struct NewCommit<'a> {
    /// Its tree.
    pub tree: Oid,
    /// Its parents.
    pub parents: &'a [Oid],
    /// Name and address of its author.
    pub author: &'a (String, String),
    /// Name and address of its committer.
    pub committer: &'a (String, String),
    /// Seconds since 1970, for both.
    pub time: i64,
    /// Its message.
    pub message: &'a str,
}

impl NewCommit<'_> {
    /// Returns the text that Git stores, and that a signature is over.
    pub fn text(&self) -> String {
        let mut text = format!("tree {}\n", self.tree);
        for parent in self.parents {
            text.push_str(&format!("parent {parent}\n"));
        }
        text.push_str(&format!(
            "author {}\ncommitter {}\n\n{}",
            signature(self.author, self.time),
            signature(self.committer, self.time),
            self.message
        ));
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text
    }
}

/// An annotated tag to write.
#[derive(Debug, Clone, Copy)]
pub struct NewTag<'a> {
    /// The commit that it names.
    pub commit: Oid,
    /// Its own name, as it says it itself.
    pub name: &'a str,
    /// Name and address of who tags.
    pub tagger: &'a (String, String),
    /// Seconds since 1970.
    pub time: i64,
    /// Its message.
    pub message: &'a str,
}

/// Returns the entries of a raw tree.
///
/// # Errors
///
/// The bytes are no tree.
pub fn entries(tree: &[u8]) -> Result<Vec<Entry<'_>>> {
    let mut found = Vec::new();
    let mut rest = tree;
    while !rest.is_empty() {
        let (entry, _, next) = split_entry(rest).context("a tree is malformed")?;
        found.push(entry);
        rest = next;
    }
    Ok(found)
}

/// Returns the entry of a raw tree with a name.
pub fn find_entry<'a>(tree: &'a [u8], name: &[u8]) -> Option<Entry<'a>> {
    let mut rest = tree;
    while let Some((entry, _, next)) = split_entry(rest) {
        if entry.name == name {
            return Some(entry);
        }
        rest = next;
    }
    None
}

/// Returns a raw tree with one entry put in, replaced, or with `None` taken out.
pub fn splice(tree: &[u8], name: &[u8], new: Option<(Oid, bool)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(tree.len() + name.len() + 32);
    let mut pending = new;
    let put = |out: &mut Vec<u8>, entry: (Oid, bool)| {
        out.extend_from_slice(if entry.1 { TREE_MODE } else { BLOB_MODE });
        out.push(b' ');
        out.extend_from_slice(name);
        out.push(0);
        out.extend_from_slice(entry.0.as_slice());
    };
    let mut rest = tree;
    while let Some((entry, bytes, next)) = split_entry(rest) {
        rest = next;
        if entry.name == name {
            continue;
        }
        if let Some(new) = pending
            && sort_key(name, new.1).lt(sort_key(entry.name, entry.is_tree))
        {
            put(&mut out, new);
            pending = None;
        }
        out.extend_from_slice(bytes);
    }
    if let Some(new) = pending {
        put(&mut out, new);
    }
    out
}

/// Git sorts a directory as if its name ended with a slash.
fn sort_key(name: &[u8], is_tree: bool) -> impl Iterator<Item = u8> {
    name.iter().copied().chain(is_tree.then_some(b'/'))
}

/// Reads the entries of a raw tree with their modes; `None` where it is malformed.
pub(super) fn entries_with_modes(tree: &[u8]) -> Option<Vec<(Entry<'_>, u32)>> {
    let (mut rest, mut found) = (tree, Vec::new());
    while !rest.is_empty() {
        let (entry, bytes, next) = split_entry(rest)?;
        let mode = bytes.split(|byte| *byte == b' ').next()?;
        let mode = u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok()?;
        found.push((entry, mode));
        rest = next;
    }
    Some(found)
}

/// Splits the first entry off a raw tree: the entry, its bytes, what follows.
fn split_entry(tree: &[u8]) -> Option<(Entry<'_>, &[u8], &[u8])> {
    let space = tree.iter().position(|byte| *byte == b' ')?;
    let end = space + tree[space..].iter().position(|byte| *byte == 0)?;
    let id = tree.get(end + 1..end + 21)?;
    let entry = Entry {
        name: &tree[space + 1..end],
        id: Oid::from_bytes_or_panic(id),
        is_tree: &tree[..space] == TREE_MODE,
    };
    Some((entry, &tree[..end + 21], &tree[end + 21..]))
}
