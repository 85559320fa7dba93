//! The index says what was written, and ends where it is not what was written: in bounds, whatever somebody put there.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::check::check;
use super::index::{
    HEADER, Header, MOST_EVENT, ROW, Row, TEXT_HEADER, rows_path, text_header, text_path,
};
use super::*;
use crate::git::files::replace;
use crate::git::objects::blob_id;
use crate::model::event::Told;

/// Enough for the index to be worth writing.
const EVENTS: usize = 260;

const PAIR: u64 = 7;

fn entry(number: usize, message: &str) -> Entry {
    Entry {
        commit: blob_id(&number.to_le_bytes()),
        time: -(number as i64),
        author: format!("author {number}"),
        told: Told::parse(message),
    }
}

fn written(dir: &Path, entries: &[Entry]) {
    let mut extension = Extension::new(dir.to_owned(), Some(entries[0].commit), None);
    for entry in entries {
        extension.push(entry);
    }
    extension.finish(false);
}

/// Reads everything; what was returned, and whether it came to an end by itself.
fn drained(dir: &Path, query: &Query) -> Option<(Vec<Entry>, bool)> {
    let mut backward = Backward::new(Index::open(dir)?);
    let mut found = Vec::new();
    loop {
        match backward.next(query) {
            Found::Entry(entry) => found.push(entry),
            Found::End => return Some((found, true)),
            Found::Damage { .. } => return Some((found, false)),
        }
    }
}

/// Writes both files as if all of it had been written by us: rows with their checks, under a header with its own.
fn forge(dir: &Path, header: &Header, rows: &[Row], text: &[u8]) {
    let mut bytes = header.encode().to_vec();
    for (number, row) in (0..).zip(rows) {
        bytes.extend(row.encode(header.pair, number));
    }
    replace(&rows_path(dir), &bytes).unwrap();
    replace(
        &text_path(dir),
        &[&text_header(header.pair)[..], text].concat(),
    )
    .unwrap();
}

fn header(rows: u64, text: u64) -> Header {
    Header {
        pair: PAIR,
        tip: blob_id(b"tip"),
        rows,
        text,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read_and_what_was_damaged_is_noticed(
        messages in proptest::collection::vec(any::<String>(), 1..12), tags in "(\\[TEAM-[0-9]{1,3}\\] ){0,9}x\n\nOrch-Event: claim\nOrch-Task: a",
        place in any::<u16>(), bit in 0..8_u8,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let message = |number: usize| if number.is_multiple_of(3) { &tags } else { &messages[number % messages.len()] };
        let entries: Vec<Entry> = (0..EVENTS).map(|number| entry(number, message(number))).collect();
        written(dir.path(), &entries);
        let (found, is_whole) = drained(dir.path(), &Query::default()).unwrap();
        prop_assert!(is_whole);
        prop_assert_eq!(&found, &entries);
        let of_task = Query::default().task(&"a".parse().unwrap());
        let (found, is_whole) = drained(dir.path(), &of_task).unwrap();
        let wanted = entries.iter().filter(|entry| entry.told.get("Task") == Some("a"));
        prop_assert!(is_whole && wanted.into_iter().all(|entry| found.contains(entry)));
        for path in [rows_path(dir.path()), text_path(dir.path())] {
            let whole = fs::read(&path).unwrap();
            let mut damaged = whole.clone();
            damaged[usize::from(place) % whole.len()] ^= 1 << bit;
            replace(&path, &damaged).unwrap();
            let read = drained(dir.path(), &Query::default());
            // What comes before the damage is as it was; it never comes to an end as if nothing were.
            prop_assert!(read.is_none_or(|(found, is_whole)| !is_whole && entries.starts_with(&found)));
            replace(&path, &whole[..usize::from(place) % whole.len()]).unwrap();
            prop_assert!(drained(dir.path(), &Query::default()).is_none_or(|(_, is_whole)| !is_whole));
            replace(&path, &whole).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_forged_index_ends_in_bounds(
        count in any::<u64>(), length in any::<u64>(), text in any::<Vec<u8>>(),
        rows in proptest::collection::vec((any::<u32>(), any::<u64>(), 0..300_u64, any::<[u32; 5]>(), any::<bool>()), 0..12),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let begin = TEXT_HEADER as u64;
        let whole = begin + text.len() as u64;
        let row = |&(len, offset, near, keys, is_near): &(u32, u64, u64, [u32; 5], bool)| {
            let at = (begin + near).min(whole);
            let (offset, len) = if is_near { (at, len % 40) } else { (offset, len) };
            let from = usize::try_from(at - begin).unwrap();
            let bytes = text.get(from..from + len as usize).unwrap_or_default();
            Row { sum: check(0, bytes), len, offset, keys }
        };
        let rows: Vec<Row> = rows.iter().map(row).collect();
        for (count, length) in [(rows.len() as u64, whole), (count, length), (count, whole), (rows.len() as u64, length)] {
            forge(dir.path(), &header(count, length), &rows, &text);
            for query in [Query::default(), Query::default().escalations()] {
                if let Some((found, _)) = drained(dir.path(), &query) {
                    prop_assert!(found.len() <= rows.len());
                }
            }
        }
    }

    #[test]
    fn bytes_of_an_event_are_an_event_or_none(noise in any::<Vec<u8>>(), message in any::<String>(), at in any::<u16>(), byte in any::<u8>()) {
        let entry = entry(1, &message);
        let mut bytes = Vec::new();
        record::encode(&entry, &mut bytes).unwrap();
        let read = |bytes: &[u8]| record::front(bytes).and_then(|(front, rest)| front.complete(rest));
        prop_assert_eq!(read(&bytes), Some(entry));
        let at = usize::from(at) % bytes.len();
        prop_assert_eq!(read(&bytes[..at]), None);
        bytes[at] = byte;
        let _ = read(&noise);
        if let Some(read) = read(&bytes) {
            prop_assert!(record::encode(&read, &mut Vec::new()).is_some());
        }
    }
}

#[test]
fn numbers_that_no_file_can_hold_are_no_index() {
    let dir = tempfile::tempdir().unwrap();
    for (rows, text) in [
        (u64::MAX, 24),
        (1 << 61, 24),
        (u64::MAX / ROW as u64, 24),
        ((u64::MAX - HEADER as u64) / ROW as u64, 24),
        (1, 24),
        (0, 25),
        (0, u64::MAX),
    ] {
        forge(dir.path(), &header(rows, text), &[], b"");
        assert!(Index::open(dir.path()).is_none(), "{rows} {text}");
    }
    // The index is as large as it says, and so is the event: nobody reads that into memory.
    let len = MOST_EVENT + 1;
    let row = Row {
        sum: check(0, &vec![0; len as usize]),
        len,
        offset: TEXT_HEADER as u64,
        keys: [1; 5],
    };
    let end = TEXT_HEADER as u64 + u64::from(len);
    forge(dir.path(), &header(1, end), &[row], b"");
    fs::File::options()
        .write(true)
        .open(text_path(dir.path()))
        .unwrap()
        .set_len(end)
        .unwrap();
    assert_eq!(
        drained(dir.path(), &Query::default()),
        Some((Vec::new(), false))
    );
}

#[test]
fn what_is_no_file_is_no_index_and_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<Entry> = (0..EVENTS)
        .map(|number| entry(number, &"x".repeat(1000)))
        .collect();
    let paths = [
        rows_path(dir.path()),
        text_path(dir.path()),
        dir.path().join("events.new"),
    ];
    for path in &paths {
        for is_fifo in [true, false] {
            let (cwd, mode) = (rustix::fs::CWD, rustix::fs::Mode::RWXU);
            if is_fifo {
                rustix::fs::mknodat(cwd, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
            } else {
                fs::create_dir(path).unwrap();
            }
            assert!(Index::open(dir.path()).is_none(), "{}", path.display());
            written(dir.path(), &entries);
            for path in &paths {
                let _ = fs::remove_dir(path).or_else(|_| fs::remove_file(path));
            }
        }
    }
    written(dir.path(), &entries);
    assert!(drained(dir.path(), &Query::default()).unwrap().1);
}
