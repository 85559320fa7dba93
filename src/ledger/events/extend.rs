//! Writing the index while commits are read: what is written is seen only once all of it is there.
//!
//! Events come newest first. Their bytes go behind those of the index in that order, their rows are turned
//! round at the end; the header, written last, makes both count. Failing to write is no error: the commits
//! are there to be read again.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::check::check;
use super::index::{self, HEADER, Header, Index, MOST_EVENT, ROW, Row, TEXT_HEADER};
use super::{query, record};
use crate::git::Oid;
use crate::git::files::{self, Lock};
use crate::ledger::Entry;

/// Commits that are worth writing down: fewer are read as fast as a file is written.
const WORTH_WRITING: u64 = 256;

/// Bytes of text kept in memory before a file is begun.
const IN_MEMORY: usize = 4 << 20;

/// Events on their way into the index.
pub(super) struct Extension {
    dir: PathBuf,
    tip: Option<Oid>,
    /// The index as it was found, which must be as it was when this is added to it.
    before: Option<Header>,
    /// `None` once it is clear that nothing will be written.
    gathered: Option<Gathered>,
}

#[derive(Default)]
struct Gathered {
    events: u64,
    /// Rows, newest first; offsets count from the beginning of these events' bytes.
    rows: Vec<Row>,
    /// Bytes of text that are in the file already.
    spilled: u64,
    text: Vec<u8>,
    keys: Vec<u32>,
    file: Option<Spill>,
}

/// A text file in the making, for which the lock is held: there is only ever one.
struct Spill {
    lock: Lock,
    path: PathBuf,
    file: File,
    pair: u64,
}

impl Extension {
    /// Begins an extension of an index, or a new one.
    pub(super) fn new(dir: PathBuf, tip: Option<Oid>, index: Option<&Index>) -> Self {
        Self {
            dir,
            tip,
            before: index.map(Index::header),
            gathered: Some(Gathered::default()),
        }
    }

    /// Adds an event, older than those before it.
    pub(super) fn push(&mut self, entry: &Entry) {
        let added = self.gathered.as_mut().and_then(|gathered| {
            gathered.add(entry)?;
            if gathered.text.len() >= IN_MEMORY {
                gathered.spill(&self.dir)?;
            }
            Some(())
        });
        if added.is_none() {
            self.gathered = None;
        }
    }

    /// Writes what was added, all of it having been added: to the index if it led there, else as a new one.
    pub(super) fn finish(&mut self, joins: bool) {
        let gathered = self.gathered.take();
        if let Some(gathered) = gathered.filter(|all| all.events >= WORTH_WRITING)
            && let Some(tip) = self.tip
        {
            // Whatever goes wrong, the index is as it was, or is noticed not to be one.
            let _ = gathered.write(&self.dir, self.before, joins, tip);
        }
    }
}

impl Gathered {
    fn add(&mut self, entry: &Entry) -> Option<()> {
        let begin = self.text.len();
        record::encode(entry, &mut self.text)?;
        let bytes = self.text.get(begin..)?;
        let len = u32::try_from(bytes.len()).ok();
        let (len, sum) = (len.filter(|len| *len <= MOST_EVENT)?, check(0, bytes));
        self.keys.clear();
        query::keys(&entry.told, &mut self.keys);
        let offset = self.spilled + begin as u64;
        Row::push_all(sum, len, offset, &self.keys, &mut self.rows);
        self.events += 1;
        Some(())
    }

    /// Moves text from memory to a file.
    fn spill(&mut self, dir: &Path) -> Option<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(Spill::begin(dir, lock(dir)?)?),
        };
        file.file.write_all(&self.text).ok()?;
        self.spilled += self.text.len() as u64;
        self.text.clear();
        Some(())
    }

    fn write(mut self, dir: &Path, before: Option<Header>, joins: bool, tip: Oid) -> Option<()> {
        if self.file.is_none() && !joins {
            self.spill(dir)?;
        }
        let lock_here = match &self.file {
            Some(_) => None,
            None => Some(lock(dir)?),
        };
        // Somebody else may have written since; theirs is as good.
        let now = Index::open(dir).map(|index| index.header());
        let written = match before {
            _ if now != before => None,
            Some(before) if joins => self.append(dir, before, tip),
            _ => self.begin_anew(dir, tip),
        };
        if let Some(spill) = self.file.take() {
            if spill.path.exists() {
                let _ = fs::remove_file(&spill.path);
            }
            drop(spill.lock);
        }
        drop(lock_here);
        written
    }

    /// Adds to the index that was found.
    fn append(&mut self, dir: &Path, before: Header, tip: Oid) -> Option<()> {
        let open = |path| OpenOptions::new().read(true).write(true).open(path).ok();
        let mut text = open(index::text_path(dir))?;
        let mut head = [0; TEXT_HEADER];
        text.read_exact(&mut head).ok()?;
        if head != index::text_header(before.pair) {
            return None;
        }
        text.seek(SeekFrom::Start(before.text)).ok()?;
        if let Some(spill) = &mut self.file {
            spill.file.seek(SeekFrom::Start(TEXT_HEADER as u64)).ok()?;
            std::io::copy(&mut spill.file, &mut text).ok()?;
        }
        text.write_all(&self.text).ok()?;
        let rows = open(index::rows_path(dir))?;
        let bytes = self.encode_rows(before.pair, before.rows, before.text);
        let at = HEADER as u64 + before.rows * ROW as u64;
        rows.write_all_at(&bytes, at).ok()?;
        let header = Header {
            tip,
            rows: before.rows + self.rows.len() as u64,
            text: before.text + self.spilled + self.text.len() as u64,
            ..before
        };
        rows.write_all_at(&header.encode(), 0).ok()
    }

    /// Makes a new index of a whole history.
    fn begin_anew(&mut self, dir: &Path, tip: Oid) -> Option<()> {
        let spill = self.file.as_mut()?;
        spill.file.write_all(&self.text).ok()?;
        self.spilled += self.text.len() as u64;
        self.text.clear();
        let (path, pair) = (spill.path.clone(), spill.pair);
        let header = Header {
            pair,
            tip,
            rows: self.rows.len() as u64,
            text: TEXT_HEADER as u64 + self.spilled,
        };
        let mut bytes = header.encode().to_vec();
        bytes.append(&mut self.encode_rows(pair, 0, TEXT_HEADER as u64));
        // Between these two the files belong to different pairs, which is noticed.
        fs::rename(path, index::text_path(dir)).ok()?;
        files::replace(&index::rows_path(dir), &bytes).ok()
    }

    /// Returns the rows' bytes, oldest first, for a place behind so many rows and bytes of text.
    fn encode_rows(&self, pair: u64, rows: u64, text: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.rows.len() * ROW);
        for (number, row) in (rows..).zip(self.rows.iter().rev()) {
            let offset = text + row.offset;
            bytes.extend_from_slice(&Row { offset, ..*row }.encode(pair, number));
        }
        bytes
    }
}

impl Spill {
    fn begin(dir: &Path, lock: Lock) -> Option<Self> {
        let path = dir.join("events.new");
        // Left behind by one who was killed; whatever else it is, it is not written to.
        let _ = fs::remove_file(&path);
        let mut file = OpenOptions::new()
            .create_new(true)
            .read(true)
            .write(true)
            .open(&path)
            .ok()?;
        let id = crate::clock::new_op_id().0;
        let pair = id.bytes().fold(0, |pair: u64, byte| {
            (pair ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        file.write_all(&index::text_header(pair)).ok()?;
        Some(Self {
            lock,
            path,
            file,
            pair,
        })
    }
}

/// Takes the lock for writing; `None` where somebody has it or the directory cannot be written.
fn lock(dir: &Path) -> Option<Lock> {
    Lock::take(&dir.join("events.lock")).ok().flatten()
}

/// Takes a damaged index away, so that the next reader makes a new one.
pub(super) fn discard(dir: &Path, damaged: &Index) {
    if let Some(_alone) = lock(dir)
        && Index::open(dir).is_some_and(|now| now.header() == damaged.header())
    {
        // Failing leaves the damage to be noticed again.
        let _ = fs::remove_file(index::rows_path(dir));
    }
}
