//! The cache says what the board said, and nothing where it is damaged.

use proptest::prelude::*;

use super::*;
use crate::git::objects::blob_id;
use crate::model::{Attempt, CommitId, OpId, State, TaskId, TaskSpec, TeamId, Timestamp};

fn id(text: &str) -> TaskId {
    text.parse().unwrap()
}

fn board() -> Board {
    let mut board = Board::default();
    board
        .teams
        .insert(TeamId(1), toml::from_str("id = 1\ncoders = 2\n").unwrap());
    for (order, name) in ["a", "bb", "a-long-name-of-a-task"].iter().enumerate() {
        let spec = TaskSpec::new(id(name), TeamId(1), format!("title of {name}"));
        let mut task = Task::from_spec(&spec, u32::try_from(order).unwrap(), false, 77);
        task.skills = vec![String::from("sql")];
        task.status.since = Timestamp(1_700_000_000);
        board.tasks.insert(task);
    }
    let mut task = board.tasks.get_mut(&id("bb")).unwrap();
    task.status.state = State::Claimed;
    task.status.agent = Some("1.2".parse().unwrap());
    task.status.attempt = Attempt(3);
    task.status.base = Some(CommitId(String::from("0123456789abcdef")));
    task.status.op = Some(OpId(String::from("op")));
    task.status.add_message(None, "mind the gap");
    drop(task);
    board.archives.insert(String::from("first"));
    board
}

/// Reads a cache that no ledger stands behind.
fn decode(bytes: Vec<u8>) -> Option<Cached> {
    super::decode(bytes, |_| {
        Arc::new(|row| read_row(row).unwrap_or_else(|| unreadable(row)))
    })
}

fn encoded(board: &Board) -> Vec<u8> {
    encode((blob_id(b"tip"), blob_id(b"tree"), 17), board).unwrap()
}

#[test]
fn a_board_comes_back_as_it_was_and_goes_again() {
    let board = board();
    let first = encoded(&board);
    let cached = decode(first.clone()).unwrap();
    assert_eq!(cached.tip, blob_id(b"tip"));
    assert_eq!(cached.tree, blob_id(b"tree"));
    assert_eq!(cached.time, 17);
    let again = encode((cached.tip, cached.tree, cached.time), &cached.board).unwrap();
    assert_eq!(again, first, "unread rows are written as they are");
    assert_eq!(cached.board, board);
    for task in cached.board.tasks.values() {
        assert_eq!(Glance::of(task), *cached.board.tasks.see(&task.id).unwrap());
    }
    let mut cached = decode(first).unwrap();
    cached.board.tasks.get_mut(&id("a")).unwrap().title = String::from("another title");
    let changed = decode(encoded(&cached.board)).unwrap().board;
    assert_eq!(changed.tasks[&id("a")].title, "another title");
    assert_eq!(changed, cached.board);
}

#[test]
fn no_damage_passes() {
    let whole = encoded(&board());
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            assert!(decode(damaged).is_none(), "byte {at}, bit {bit}");
        }
        assert!(decode(whole[..at].to_vec()).is_none(), "cut at {at}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(decode(longer).is_none());
    let mut swapped = whole;
    let last = swapped.len() - 64;
    swapped[last..].rotate_left(32);
    assert!(decode(swapped).is_none());
}

#[test]
fn the_format_has_the_number_that_it_is_known_by() {
    // Where this fails, the bytes have changed their meaning: count the number in MAGIC up, then note the new digest.
    let whole = encoded(&board());
    assert!(MAGIC.starts_with(b"git-orch snapshot 9 "));
    assert_eq!(digest(&whole[MAGIC.len() + 8..]), 7_977_910_773_126_001_491);
}

/// Gives changed bytes the digest that makes them count.
fn forged(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = MAGIC.len() + size_of::<u64>();
    if let Some((before, rest)) = bytes.split_at_mut_checked(body) {
        before[MAGIC.len()..].copy_from_slice(&digest(rest).to_le_bytes());
    }
    bytes
}

/// Asks everything of a cache that there is to ask.
fn use_up(bytes: Vec<u8>) {
    let whole = is_whole(bytes.clone());
    let Some(mut cached) = decode(bytes) else {
        assert!(!whole);
        return;
    };
    let ids: Vec<TaskId> = cached.board.tasks.keys().cloned().collect();
    for id in &ids {
        assert!(cached.board.tasks.get(id).is_some() || !whole, "{id}");
        drop(cached.board.tasks.get_mut(id));
    }
    let seen = cached
        .board
        .tasks
        .seen()
        .map(|seen| seen.task().title.len());
    assert!(seen.count() >= ids.len());
    let _ = encode((cached.tip, cached.tree, cached.time), &cached.board);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_forged_cache_is_no_cache_or_one_that_can_be_read(
        noise in any::<Vec<u8>>(),
        edits in proptest::collection::vec((any::<u16>(), any::<u16>(), 0..5_u8, any::<u8>()), 1..5),
    ) {
        let body = MAGIC.len() + size_of::<u64>();
        let whole = encoded(&board());
        use_up(forged([&whole[..body], &noise].concat()));
        use_up(noise);
        let mut bytes = whole[body..].to_vec();
        for (a, b, kind, byte) in edits {
            let Some(most) = bytes.len().checked_sub(1) else { break };
            let (a, b) = (usize::from(a) % (most + 1), usize::from(b) % (most + 1));
            let (from, to) = (a.min(b), a.max(b));
            match kind {
                0 => drop(bytes.drain(from..to.min(from + 20))),
                1 => bytes[from] ^= byte,
                2 => bytes.insert(from, byte),
                3 => bytes[from..=to].reverse(),
                _ => bytes.truncate(to),
            }
        }
        use_up(forged([&whole[..body], &bytes].concat()));
    }

    #[test]
    fn any_board_comes_back(
        tasks in proptest::collection::btree_map("[a-z0-9][a-z0-9-]{0,20}", (any::<String>(), any::<u32>(), any::<i64>(), any::<bool>()), 0..8),
        time in any::<i64>(),
    ) {
        let mut board = Board::default();
        for (name, (text, number, since, held)) in tasks {
            let spec = TaskSpec::new(id(&name), TeamId(number), text.clone());
            let mut task = Task::from_spec(&spec, number, held, u64::from(number));
            task.skills = vec![text.clone()];
            task.status.since = Timestamp(since);
            task.status.attempt = Attempt(number);
            task.status.reason = held.then_some(text);
            board.tasks.insert(task);
        }
        let bytes = encode((blob_id(b"tip"), blob_id(b"tree"), time), &board).unwrap();
        prop_assert!(is_whole(bytes.clone()));
        let cached = decode(bytes).unwrap();
        prop_assert_eq!(cached.time, time);
        prop_assert_eq!(cached.board, board);
    }
}

#[test]
fn rows_in_disorder_are_no_cache() {
    let board = board();
    let (mut rows, mut bytes) = (Vec::new(), Vec::new());
    for task in board.tasks.values().collect::<Vec<_>>().into_iter().rev() {
        let row = postcard::to_stdvec(task).unwrap();
        rows.push((Glance::of(task), u32::try_from(row.len()).unwrap()));
        bytes.extend(row);
    }
    let rows = postcard::to_stdvec(&rows).unwrap();
    let mut rows: Vec<Row> = postcard::from_bytes(&rows).unwrap();
    let read: ReadRow = Arc::new(unreadable);
    assert!(Tasks::stored(bytes.clone(), 0, rows.clone(), Arc::clone(&read)).is_none());
    rows.truncate(1);
    assert!(Tasks::stored(bytes, 0, rows, read).is_none());
}
