//! The two files of the index, and reading them from the newest event back.
//!
//! `events.text` holds the events' bytes in the order in which they were read from the commits.
//! `events.index` begins with a header that names the commit the index reaches and how much of both files
//! counts; below it stand rows of one size, oldest event first: where its bytes are, their check, and keys
//! to find it by. An event with more keys than a row has room for has several rows, one after the other.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::check::check;
use super::{Query, record};
use crate::git::{Oid, files};
use crate::ledger::Entry;

/// First bytes of the index; changes with everything that changes its meaning.
const MAGIC: &[u8; 16] = b"git-orch index 1";
const TEXT_MAGIC: &[u8; 16] = b"git-orch events1";

/// Bytes of the index before its first row.
pub(super) const HEADER: usize = 64;
/// Bytes of the text file before its first event.
pub(super) const TEXT_HEADER: usize = 24;
/// Bytes of a row.
pub(super) const ROW: usize = 40;
/// Keys of a row.
const KEYS: usize = 5;
/// Most bytes of one event: a ledger with a larger one has no index.
pub(super) const MOST_EVENT: u32 = 64 << 20;
/// Bytes that are read at a time, as far as they are needed one after the other.
const WINDOW: usize = 256 * 1024;
/// Rows that are read at a time.
const ROWS: u64 = (WINDOW / ROW) as u64;

/// What the index says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// A number that both files have and no other pair.
    pub(super) pair: u64,
    /// The newest commit in it.
    pub(super) tip: Oid,
    /// Rows that count.
    pub(super) rows: u64,
    /// Bytes of the text file that count.
    pub(super) text: u64,
}

impl Header {
    /// Returns the header's bytes.
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[16..24].copy_from_slice(&self.pair.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.rows.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.text.to_le_bytes());
        bytes[40..60].copy_from_slice(self.tip.as_slice());
        let sum = check(0, &bytes[..60]);
        bytes[60..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER]) -> Option<Self> {
        let whole = &bytes[..16] == MAGIC && word(bytes, 60) == check(0, &bytes[..60]);
        whole.then(|| Self {
            pair: long(bytes, 16),
            rows: long(bytes, 24),
            text: long(bytes, 32),
            tip: Oid::from_bytes_or_panic(&bytes[40..60]),
        })
    }
}

/// Returns the first bytes of the text file of a pair.
pub(super) fn text_header(pair: u64) -> [u8; TEXT_HEADER] {
    let mut bytes = [0; TEXT_HEADER];
    bytes[..16].copy_from_slice(TEXT_MAGIC);
    bytes[16..].copy_from_slice(&pair.to_le_bytes());
    bytes
}

/// One row of the index, without its check.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Check of the event's bytes.
    pub(super) sum: u32,
    /// How many they are.
    pub(super) len: u32,
    /// Where they begin in the text file.
    pub(super) offset: u64,
    /// Keys; 0 where there are no more.
    pub(super) keys: [u32; KEYS],
}

impl Row {
    /// Appends the rows of an event.
    pub(super) fn push_all(sum: u32, len: u32, offset: u64, keys: &[u32], rows: &mut Vec<Self>) {
        let mut parts = keys.chunks(KEYS);
        let mut next = parts.next();
        while let Some(part) = next {
            let mut keys = [0; KEYS];
            keys[..part.len()].copy_from_slice(part);
            rows.push(Self {
                sum,
                len,
                offset,
                keys,
            });
            next = parts.next();
        }
    }

    /// Returns the bytes of a row in its place.
    pub(super) fn encode(&self, pair: u64, number: u64) -> [u8; ROW] {
        let mut bytes = [0; ROW];
        bytes[4..8].copy_from_slice(&self.sum.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.len.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.offset.to_le_bytes());
        for (at, key) in self.keys.iter().enumerate() {
            bytes[20 + at * 4..24 + at * 4].copy_from_slice(&key.to_le_bytes());
        }
        let sum = check(place(pair, number), &bytes[4..]);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8], pair: u64, number: u64) -> Option<Self> {
        if word(bytes, 0) != check(place(pair, number), &bytes[4..]) {
            return None;
        }
        let mut keys = [0; KEYS];
        for (at, key) in keys.iter_mut().enumerate() {
            *key = word(bytes, 20 + at * 4);
        }
        Some(Self {
            sum: word(bytes, 4),
            len: word(bytes, 8),
            offset: long(bytes, 12),
            keys,
        })
    }
}

/// A row of another pair of files, or in another place, is no row of this one.
fn place(pair: u64, number: u64) -> u64 {
    pair.wrapping_add(number)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

/// Returns the path of the rows.
pub(super) fn rows_path(dir: &Path) -> PathBuf {
    dir.join("events.index")
}

/// Returns the path of the events' bytes.
pub(super) fn text_path(dir: &Path) -> PathBuf {
    dir.join("events.text")
}

/// The files, opened: whoever deletes or replaces them does not touch these.
#[derive(Debug)]
pub(super) struct Index {
    rows: File,
    text: File,
    header: Header,
}

impl Index {
    /// Opens the index; `None` where there is none that can be used.
    pub(super) fn open(dir: &Path) -> Option<Self> {
        let rows = files::open_regular(&rows_path(dir)).ok()?;
        let mut bytes = [0; HEADER];
        rows.read_exact_at(&mut bytes, 0).ok()?;
        let header = Header::decode(&bytes)?;
        let text = files::open_regular(&text_path(dir)).ok()?;
        let mut bytes = [0; TEXT_HEADER];
        text.read_exact_at(&mut bytes, 0).ok()?;
        let end = header.rows.checked_mul(ROW as u64)?;
        let whole = bytes == text_header(header.pair)
            && rows.metadata().ok()?.len() >= end.checked_add(HEADER as u64)?
            && text.metadata().ok()?.len() >= header.text;
        whole.then_some(Self { rows, text, header })
    }

    /// Returns the newest commit in it.
    pub(super) fn tip(&self) -> Oid {
        self.header.tip
    }

    /// Returns what it says of itself.
    pub(super) fn header(&self) -> Header {
        self.header
    }
}

/// What the index has next.
pub(super) enum Found {
    /// An event that may be wanted.
    Entry(Entry),
    /// Nothing more.
    End,
    /// Something that is not what was written; so many events before it were.
    Damage {
        /// Events that were returned or not wanted.
        passed: u64,
    },
}

/// The way through the index from the newest event to the first.
#[derive(Debug)]
pub(super) struct Backward {
    index: Index,
    /// Rows not looked at yet.
    left: u64,
    passed: u64,
    /// Rows that were read, and the number of the first.
    rows: Vec<u8>,
    first: u64,
    /// Bytes of the text file that were read, and where they begin.
    text: Vec<u8>,
    from: u64,
}

impl Backward {
    /// Begins at the newest event.
    pub(super) fn new(index: Index) -> Self {
        Self {
            left: index.header.rows,
            first: index.header.rows,
            index,
            passed: 0,
            rows: Vec::new(),
            text: Vec::new(),
            from: 0,
        }
    }

    /// Returns the index that is read.
    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Returns the next event that a query may ask for.
    pub(super) fn next(&mut self, query: &Query) -> Found {
        while self.left > 0 {
            match self.look(query) {
                Some(found) => {
                    self.passed += 1;
                    if let Some(entry) = found {
                        return Found::Entry(entry);
                    }
                }
                None => {
                    return Found::Damage {
                        passed: self.passed,
                    };
                }
            }
        }
        Found::End
    }

    /// Looks at one event: `None` if it is damaged, `Some(None)` if it is not wanted.
    fn look(&mut self, query: &Query) -> Option<Option<Entry>> {
        let row = self.row(self.left - 1)?;
        let mut satisfied = query.satisfied(&row.keys);
        self.left -= 1;
        while self.left > 0 {
            let older = self.row(self.left - 1)?;
            if older.offset != row.offset {
                break;
            }
            satisfied |= query.satisfied(&older.keys);
            self.left -= 1;
        }
        if !query.is_met(satisfied) {
            return Some(None);
        }
        // Wanted events that the keys picked out lie apart from each other; all of them lie side by side.
        let window = if query.has_keys() { 0 } else { WINDOW };
        self.load_text(&row, window)?;
        let at = usize::try_from(row.offset - self.from).ok()?;
        let bytes = self.text.get(at..at + row.len as usize)?;
        if check(0, bytes) != row.sum {
            return None;
        }
        let (front, rest) = record::front(bytes)?;
        if !query.matches(front.subject, front.body) {
            return Some(None);
        }
        front.complete(rest).map(Some)
    }

    fn row(&mut self, number: u64) -> Option<Row> {
        if number < self.first {
            let end = self.first;
            self.first = end.saturating_sub(ROWS);
            self.rows.resize((end - self.first) as usize * ROW, 0);
            let at = HEADER as u64 + self.first * ROW as u64;
            self.index.rows.read_exact_at(&mut self.rows, at).ok()?;
        }
        let at = (number - self.first) as usize * ROW;
        Row::decode(self.rows.get(at..at + ROW)?, self.index.header.pair, number)
    }

    /// Reads an event's bytes and, in the direction of the way so far, what lies beside them.
    fn load_text(&mut self, row: &Row, window: usize) -> Option<()> {
        let (begin, end) = (row.offset, row.offset.checked_add(u64::from(row.len))?);
        let whole = self.index.header.text;
        if begin < TEXT_HEADER as u64 || end > whole || row.len > MOST_EVENT {
            return None;
        }
        if begin >= self.from && end <= self.from + self.text.len() as u64 {
            return Some(());
        }
        let (from, to) = if begin < self.from {
            let least = end.saturating_sub(window as u64);
            (least.max(TEXT_HEADER as u64).min(begin), end)
        } else {
            (
                begin,
                begin.saturating_add(window as u64).min(whole).max(end),
            )
        };
        self.text.resize(usize::try_from(to - from).ok()?, 0);
        self.from = from;
        self.index.text.read_exact_at(&mut self.text, from).ok()
    }
}
