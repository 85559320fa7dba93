//! A bundle comes back as it was kept; anything else is told.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::assembler::conflict::{BundleFile, How, Landed, Proposal};
use crate::git::objects::blob_id;

fn bundle(texts: &[String], number: u8, whole: bool) -> Bundle {
    let text = |at: usize| texts.get(at).cloned().unwrap_or_default();
    let id = |at: u8| blob_id(&[at, number]).to_string();
    let side = |at| {
        whole.then(|| Side {
            mode: String::from("100644"),
            id: id(at),
        })
    };
    let file = BundleFile {
        path: text(0),
        kind: text(1),
        message: text(2),
        base: side(1),
        ours: side(2),
        theirs: side(3),
        ours_changed: text(3),
        theirs_changed: text(4),
        hunks: texts.to_vec(),
    };
    let landed = Landed {
        commit: id(4),
        subject: text(1),
        tasks: texts.to_vec(),
        agent: text(2),
        paths: texts.to_vec(),
    };
    Bundle {
        format: FORMAT,
        task: whole.then(|| format!("t-{number}").parse().unwrap()),
        agent: whole.then(|| "1.2".parse().unwrap()),
        branch: format!("orch/team-1/t-{number}"),
        head: id(5),
        target: String::from("main"),
        tip: id(6),
        bases: vec![id(7)],
        conflicted: id(8),
        total: usize::from(number),
        files: vec![file; usize::from(number % 3)],
        landed: vec![landed; usize::from(number % 2)],
        proposal: whole.then(|| Proposal {
            how: How::Remembered,
            tree: id(9),
        }),
    }
}

/// What is promised of whatever was read.
fn is_sound(bundle: &Bundle) -> bool {
    let oids = [&bundle.head, &bundle.tip, &bundle.conflicted];
    oids.iter().all(|id| Oid::from_hex(id.as_bytes()).is_ok())
        && branch::check(&bundle.branch).is_ok()
        && ref_name(bundle.name())
            .strip_prefix(PREFIX)
            .is_some_and(|name| !name.contains('/'))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_bundle_is_read_as_it_was_written(
        texts in vec(any::<String>(), 0..6), number in any::<u8>(), whole in any::<bool>(),
    ) {
        let bundle = bundle(&texts, number, whole);
        let text = serde_json::to_vec_pretty(&bundle).unwrap();
        prop_assert_eq!(parse(&text).unwrap(), bundle);
    }

    #[test]
    fn what_is_damaged_is_sound_or_told(
        noise in any::<Vec<u8>>(), number in any::<u8>(), edits in vec((any::<u16>(), any::<u16>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        prop_assert!(parse(&noise).is_err());
        let mut bytes = serde_json::to_vec_pretty(&bundle(&[String::from("a")], number, true)).unwrap();
        for (a, b, byte, kind) in edits {
            let (a, b) = (usize::from(a) % bytes.len(), usize::from(b) % bytes.len());
            match kind {
                0 => bytes[a] = byte,
                1 => bytes.truncate(a.max(1)),
                2 => bytes.swap(a, b),
                _ => {
                    let piece = bytes[a.min(b)..a.max(b)].to_vec();
                    bytes.splice(a..a, piece);
                }
            }
        }
        if let Ok(bundle) = parse(&bytes) {
            prop_assert!(is_sound(&bundle), "{bundle:?}");
        }
    }
}

#[test]
fn what_a_bundle_names_must_be_what_it_says() {
    let good = bundle(&[], 7, true);
    let told = |change: fn(&mut Bundle)| {
        let mut bundle = good.clone();
        change(&mut bundle);
        let read = parse(&serde_json::to_vec(&bundle).unwrap());
        read.map_or_else(|error| error.to_string(), |_| String::from("read"))
    };
    assert_eq!(told(|_| {}), "read");
    for (change, why) in [
        ((|b| b.format = 2) as fn(&mut Bundle), "its format is 2"),
        (
            |b| b.branch = String::from("../../dev/stdin"),
            "is no branch",
        ),
        (|b| b.branch = String::from("a\0b"), "is no branch"),
        (|b| b.target = String::from("-x"), "is no branch"),
        (|b| b.head = String::from("main"), "is no object id"),
        (|b| b.tip = String::new(), "is no object id"),
        (|b| b.bases = vec![String::from("--all")], "is no object id"),
        (|b| b.conflicted.push('0'), "is no object id"),
        (
            |b| b.landed[0].commit = String::from("x"),
            "is no object id",
        ),
        (
            |b| b.proposal.as_mut().unwrap().tree = String::from("é"),
            "is no object id",
        ),
    ] {
        let told = told(change);
        assert!(told.contains(why), "{why}: {told}");
    }
}
