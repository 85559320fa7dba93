//! The cache says what the board said, and nothing where it is damaged.

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
    drop(task);
    board
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
    assert!(MAGIC.starts_with(b"git-orch snapshot 6 "));
    assert_eq!(
        digest(&whole[MAGIC.len() + 8..]),
        13_297_683_780_307_528_594
    );
}
