//! Notes of moves: read as written, or not acted on.

use proptest::prelude::*;

use super::*;
use crate::git::objects::blob_id;

fn note(moves: &[(String, bool)], kind: Kind) -> (Vec<u8>, Vec<Move>) {
    let move_of = |(name, is_new): &(String, bool)| Move {
        branch: format!("refs/heads/{name}"),
        old: (!is_new).then(|| blob_id(name.as_bytes())),
        new: blob_id(b"new"),
    };
    let moves: Vec<Move> = moves.iter().map(move_of).collect();
    let noted = moves.iter().map(|m| NotedMove {
        branch: m.branch.clone(),
        old: m.old.map(|old| old.to_string()),
        new: m.new.to_string(),
    });
    let note = Note {
        kind,
        moves: noted.collect(),
    };
    (serde_json::to_vec(&note).unwrap(), moves)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_note_is_read_as_it_was_written(
        moves in proptest::collection::vec(("[a-z]{1,8}(/[a-z0-9]{1,8}){0,2}", any::<bool>()), 0..4), is_approval in any::<bool>(),
    ) {
        let kind = if is_approval { Kind::Approval } else { Kind::Assembly };
        let names_are_good = moves.iter().all(|(name, _)| branch::check(name).is_ok());
        let (bytes, moves) = note(&moves, kind);
        prop_assert_eq!(read_note(&bytes), names_are_good.then_some((kind, moves)));
    }

    #[test]
    fn a_damaged_note_says_nothing_or_names_branches_and_commits(
        noise in any::<Vec<u8>>(), at in any::<u16>(), to in any::<u16>(), byte in any::<u8>(),
    ) {
        prop_assert!(read_note(&noise).is_none());
        let moves = [(String::from("orch/integration"), false), (String::from("main"), true)];
        let (whole, _) = note(&moves, Kind::Approval);
        let (at, to) = (usize::from(at) % whole.len(), usize::from(to) % whole.len());
        let mut flipped = whole.clone();
        flipped[at] = byte;
        let mut swapped = whole.clone();
        swapped.swap(at, to);
        let doubled = [&whole[..at.max(to)], &whole[at.min(to)..]].concat();
        for bytes in [flipped, swapped, doubled, whole[..at].to_vec()] {
            for one in read_note(&bytes).map_or(Vec::new(), |(_, moves)| moves) {
                let name = one.branch.strip_prefix("refs/heads/");
                prop_assert!(name.is_some_and(|name| branch::check(name).is_ok()), "{one:?}");
            }
        }
    }
}

#[test]
fn a_note_that_names_something_else_is_not_acted_on() {
    let id = blob_id(b"x");
    let read = |branch: &str, old: &str, new: &str| {
        let text = format!(
            r#"{{"kind":"Assembly","moves":[{{"branch":"{branch}","old":{old},"new":"{new}"}}]}}"#
        );
        read_note(text.as_bytes())
    };
    let (good, null) = (id.to_string(), "null");
    assert!(read("refs/heads/main", null, &good).is_some());
    assert!(read("refs/heads/main", &format!("\"{id}\""), &good).is_some());
    assert!(read("refs/heads/main", "\"HEAD\"", &good).is_none());
    assert!(read("refs/heads/main", null, "HEAD").is_none());
    assert!(read("refs/heads/../../config", null, &good).is_none());
    assert!(read("refs/heads/-x", null, &good).is_none());
    assert!(read("HEAD", null, &good).is_none());
}
